"""Attribution by functional Fisher information under a Gaussian law around the input."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from pyxai._checks import check_bool, check_choice, check_int, check_number
from pyxai.attribution.sampled.functional_information.accumulate import (
    Accumulator,
    of_logarithm,
)
from pyxai.attribution.sampled.functional_information.arguments import (
    check_names,
    grouping,
    one_tensor,
    pairing,
)
from pyxai.attribution.sampled.functional_information.classes import by_example, of_several_outputs
from pyxai.attribution.sampled.functional_information.entropy import EntropyBound
from pyxai.attribution.sampled.functional_information.local import LocalInformation
from pyxai.attribution.sampled.functional_information.moments import fitted_covariances
from pyxai.attribution.sampled.functional_information.noise import Noise
from pyxai.attribution.sampled.functional_information.scores import (
    COVARIANCE_SCORES,
    Groups,
)
from pyxai.covariance import Covariance
from pyxai.methods.base import GradientAttribution, warn_if_infinite
from pyxai.methods.store import register
from pyxai.runner import Runner, takes_arrays

__all__ = ["EntropyBound", "FunctionalInformation"]

REDUCTIONS = ("square_then_sum", "sum_then_square")


@register(
    "functional_information",
    summary=(
        "share of each feature in the Fisher information of the output under the data's covariance"
    ),
    cost="n_samples gradients",
    use=(
        "correlated features, where their covariance is known or fitted; most of its scores "
        "have no sign"
    ),
    stochastic=True,
    axioms=("null_player", "implementation_invariance"),
)
class FunctionalInformation(GradientAttribution):
    """Share of each feature in the functional Fisher information of an output.

    Around an input x the law ``mu = N(x, Sigma)`` makes the positive output ``f`` random. The
    Gaussian log-Sobolev inequality bounds its functional entropy,
    ``Ent(f) = E[f log f] - E[f] log E[f] <= I(f) / 2`` with the information
    ``I(f) = E[f <Sigma grad log f, grad log f>]``, and the scores below share out ``I``.

    ============================ ==========================================================
    score                        value of feature i
    ============================ ==========================================================
    ``"plain"``                  ``E[f (d_i log f)^2]``
    ``"additive"``               ``E[f (Sigma grad log f)_i d_i log f]``; sums to ``I``, can be
                                 negative
    ``"marginal"``               plain times ``Sigma_ii``
    ``"conditional"``            plain over ``(Sigma^-1)_ii``: only what the other features do
                                 not already tell
    ``"smoothgrad"``             ``E[d_i f]``
    ``"smoothgrad_sq"``          ``E[(d_i f)^2]``
    ``"vargrad"``                ``Var[d_i f]``
    ``"vargrad_sq"``             ``Var[(d_i f)^2]``
    ``"covariance_gradients"``   ``E[(Sigma grad f)_i]``
    ============================ ==========================================================

    For a group S of features: additive is the sum of its members, marginal is
    ``E[f u' Sigma_SS u]`` and conditional ``E[f u' ((Sigma^-1)_SS)^-1 u]`` with
    ``u = (grad log f)_S``. The variances are those of the summed gradient of the group; what
    ``reduction`` says goes for ``plain``, ``additive`` and ``smoothgrad_sq``.

    Parameters
    ----------
    forward_func : callable
        The model.
    covariance : Covariance or mapping of int to Covariance, optional
        ``Sigma`` of the flattened features, for all inputs or per class; see `fit`.
    output : str
        What makes ``f`` positive: ``"probability"`` (softmax over dimension 1, the default; the
        logistic function of a single output), ``"exp"`` (the model returns ``log f``), or
        ``"identity"`` (the model returns ``f`` itself, which must be positive at every sample).

    Notes
    -----
    All rows of a batch get the same standard normal draws, so a row's result does not depend on
    the batch. Accumulation is in float64; ``f`` is never divided by.

    References
    ----------
    .. [1] I. Gat, N. Calderon, R. Reichart, T. Hazan, "A Functional Information Perspective on
       Model Interpretation", ICML 2022, section 4.
    .. [2] L. Gross, "Logarithmic Sobolev Inequalities", American Journal of Mathematics 97(4),
       1975.
    """

    def __init__(
        self,
        forward_func: Any,
        *,
        covariance: Covariance | Mapping[int, Covariance] | None = None,
        output: str = "probability",
    ) -> None:
        super().__init__(forward_func)
        self.output = check_choice("output", output, tuple(_LOG_OUTPUTS))
        self.covariance = covariance

    def fit(
        self,
        loader: Iterable[Any],
        *,
        per: str = "class",
        form: str = "sample",
        structure: str = "joint",
        shrinkage: float = 0.0,
        ridge: float = 0.0,
        rank: int | None = None,
        bandwidth: int | None = None,
        max_rows: int | None = 4096,
        seed: int = 0,
    ) -> FunctionalInformation:
        """Estimate the covariance of each class, or of all inputs, in one pass over a data set.

        Parameters
        ----------
        loader : iterable of (inputs, labels)
            Tensors ``[batch, *features]`` and integer ``[batch]``; labels are not read, and may be
            missing, with ``per="data"``. The global random state is left as found.
        per : str
            ``"class"``: one covariance for each class; ``"data"``: one of all examples.
        form : str
            ``"sample"``: the centred rows themselves (no square matrix); ``"low_rank"``: their
            ``rank`` leading directions; ``"dense"``; ``"diagonal"``; ``"banded"``: neighbours up to
            ``bandwidth`` apart; ``"toeplitz"``: a stationary signal, whose autocovariance is the
            mean over positions (divided by their number at every lag, which keeps it positive).
        structure : str
            ``"joint"``; ``"per_channel"``: one covariance per channel (dimension 1), none between
            channels; ``"per_token"``: the covariance of the mean token embedding (inputs
            ``[batch, tokens, embedding]``), the same for every token, none between tokens.
        shrinkage : float
            In [0, 1], towards the diagonal.
        ridge : float
            This fraction of the mean variance is added to every variance; features that never vary
            (borders, padding) need it for the scores that invert the covariance.
        rank : int, optional
            For form ``"low_rank"``.
        bandwidth : int, optional
            For forms ``"banded"`` and ``"toeplitz"``; default for the latter: all lags. Cutting a
            covariance can cost it positive definiteness; ``shrinkage`` restores it.
        max_rows : int, optional
            Rows kept of each class for ``"sample"`` and ``"low_rank"``, at least 2: all of its rows
            are equally likely, and batches do not matter. The other forms read all rows; with None
            so do these.
        seed : int
            Of the choice of rows.

        Returns
        -------
        FunctionalInformation
            This object, with ``covariance`` set to a mapping from class to covariance, or to one
            covariance.

        Raises
        ------
        ValueError
            If an argument is out of range, shapes differ, or a class has fewer than two examples.
        TypeError
            If the loader does not give pairs of tensors.
        """
        self.covariance = fitted_covariances(
            loader,
            per=per,
            form=form,
            structure=structure,
            shrinkage=shrinkage,
            ridge=ridge,
            rank=rank,
            bandwidth=bandwidth,
            max_rows=max_rows,
            seed=seed,
        )
        return self

    def attribute(
        self,
        inputs: Tensor,
        target: Any = None,
        additional_forward_args: Any = None,
        *,
        score: str = "plain",
        n_samples: int = 100,
        scale: float = 0.15,
        noise: str | None = None,
        labels: int | Tensor | None = None,
        feature_mask: Tensor | None = None,
        reduction: str = "square_then_sum",
        parity: bool = False,
        layout: str | None = None,
        relative: bool = False,
        antithetic: bool | None = None,
        seed: int = 0,
        internal_batch_size: int | None = None,
        return_error: bool = False,
        show_progress: bool = False,
    ) -> Any:
        """Compute one score.

        Parameters
        ----------
        inputs : Tensor, shape [batch, *features]
            float32, float64, bfloat16 or float16.
        target : int, tuple, list or Tensor, optional
            The explained class, in any of captum's forms; it is fixed, not chosen per sample.
        additional_forward_args : any, optional
            Further arguments of the model. A tensor whose first size is that of the batch is taken
            to hold a row for each example; `pyxai.Shared` says that all rows share it.
        score : str
            See the class.
        n_samples : int
            Samples per input.
        scale : float
            ``lambda``: the noise is ``N(0, lambda Var(x) I)`` or ``N(0, lambda Sigma)``, with
            ``Var(x)`` the variance of all entries of this input. ``Sigma`` in the scores is not
            scaled.
        noise : str, optional
            ``"isotropic"`` or ``"covariance"``; default: covariance for the scores that read
            ``Sigma``, else isotropic.
        labels : int or Tensor of shape [batch], optional
            Whose covariance each example gets where there is one for each class; default: that of
            the target. A model with one output needs them: its target is no class.
        feature_mask : Tensor, shape of ``inputs`` or first dimension 1, optional
            Groups, one for all examples; each member gets the score of its group.
        reduction : str
            For groups of ``plain``, ``additive`` and ``smoothgrad_sq``: ``"square_then_sum"``
            follows the theory, ``"sum_then_square"`` sums the members first. The other scores of a
            group have one form.
        parity : bool
            Follow the authors' code: the channels of an image (dimension 1) or the embedding of a
            token (the last dimension) form a group, summed first, and that dimension is dropped
            from the result; sounds are taken value by value.
        layout : str, optional
            With ``parity``: ``"image"`` ``[batch, channels, ...]``, ``"text"``
            ``[batch, tokens, embedding]``, or ``"audio"``. Default: image for 4 dimensions and
            more, audio for 2; inputs of 3 dimensions can be text or sound, and it must be given.
        relative : bool
            Whether to divide by the mean of ``f`` over the samples, to the power with which the
            score scales with ``f``: 2 for ``smoothgrad_sq`` and ``vargrad``, 4 for ``vargrad_sq``,
            else 1. Makes inputs comparable, and does not underflow however small ``f`` is.
        antithetic : bool, optional
            Whether samples come in pairs ``x + e``, ``x - e``; default: unless a variance is among
            the scores, which needs independent samples.
        seed : int
            Of the samples.
        internal_batch_size : int, optional
            Upper bound of the rows in one call of the model.
        return_error : bool
            Whether to return the standard error as well, of pairs where samples come in pairs. It
            is that of many samples, whatever their law: a variance with heavy tails needs more.
        show_progress : bool
            Whether to show a progress bar.

        Returns
        -------
        Tensor, shape of ``inputs`` (see ``parity``)
            Scores in units of the output (per squared input unit for ``plain``), float64 for
            float64 inputs, else float32. With ``return_error``: a pair of such tensors.

        Raises
        ------
        ValueError
            If an argument is out of range, the output is not positive, a covariance is missing, of
            another size, or singular where its inverse is needed.
        TypeError
            If a type or dtype does not fit.
        """
        scores = self.scores(
            inputs,
            target,
            additional_forward_args,
            names=(score,),
            n_samples=n_samples,
            scale=scale,
            noise=noise,
            labels=labels,
            feature_mask=feature_mask,
            reduction=reduction,
            parity=parity,
            layout=layout,
            relative=relative,
            antithetic=antithetic,
            seed=seed,
            internal_batch_size=internal_batch_size,
            return_error=return_error,
            show_progress=show_progress,
        )
        if return_error:
            remedy = "they are a spread over samples or pairs of them; give more"
            warn_if_infinite(scores[score][1], f"n_samples={n_samples}", remedy)
        return scores[score]

    def estimates_error(self, options: Mapping[str, Any]) -> bool:
        """Tell whether standard errors can be returned: those of relative scores are not known."""
        return not options.get("relative", False)

    @takes_arrays
    def scores(
        self,
        inputs: Tensor,
        target: Any = None,
        additional_forward_args: Any = None,
        *,
        names: Sequence[str],
        n_samples: int = 100,
        scale: float = 0.15,
        noise: str | None = None,
        labels: int | Tensor | None = None,
        feature_mask: Tensor | None = None,
        reduction: str = "square_then_sum",
        parity: bool = False,
        layout: str | None = None,
        relative: bool = False,
        antithetic: bool | None = None,
        seed: int = 0,
        internal_batch_size: int | None = None,
        return_error: bool = False,
        show_progress: bool = False,
    ) -> dict[str, Any]:
        """Compute several scores from one set of samples.

        Parameters
        ----------
        inputs, target, additional_forward_args
            As for `attribute`.
        names : sequence of str
            Scores, see the class; all share the samples and so the cost of one.
        n_samples, scale, noise, labels, feature_mask, reduction, parity, layout, relative, \
antithetic, seed, internal_batch_size, return_error, show_progress
            As for `attribute`; ``noise`` is by default covariance if any score reads ``Sigma``.

        Returns
        -------
        dict of str to Tensor
            One entry per name, as `attribute` returns it.

        Raises
        ------
        ValueError, TypeError
            As for `attribute`.
        """
        check_names(names)
        check_choice("reduction", reduction, REDUCTIONS)
        check_int("n_samples", n_samples, minimum=2)
        x = one_tensor(inputs)
        placing = grouping(x, feature_mask, parity, layout)
        needs = any(name in COVARIANCE_SCORES for name in names)
        law = self._noise(
            x, target, scale, noise or ("covariance" if needs else "isotropic"), needs, labels
        )
        paired = pairing(antithetic, return_error, relative, n_samples, names)
        sum_first = reduction == "sum_then_square" or parity
        result = Accumulator(
            names, x, law, placing.groups, sum_first, errors=return_error, paired=paired
        )
        self._sample(
            x,
            target,
            additional_forward_args,
            law,
            result,
            n_samples=n_samples,
            seed=seed,
            paired=paired,
            max_rows=internal_batch_size,
            progress=show_progress,
        )
        return {name: placing.place(result.score(name, relative), x.dtype) for name in names}

    @takes_arrays
    def entropy(
        self,
        inputs: Tensor,
        target: Any = None,
        additional_forward_args: Any = None,
        *,
        n_samples: int = 1000,
        scale: float = 0.15,
        noise: str = "covariance",
        labels: int | Tensor | None = None,
        relative: bool = False,
        seed: int = 0,
        internal_batch_size: int | None = None,
    ) -> EntropyBound:
        """Estimate the functional entropy of the output and the information that bounds it.

        Here the information is that of the sampling law itself: its ``Sigma`` is scaled by
        ``scale``, so that ``entropy <= bound`` holds up to the standard errors.

        Parameters
        ----------
        inputs, target, additional_forward_args, n_samples, scale, noise, labels, seed, \
internal_batch_size
            As for `attribute`; samples are independent.
        relative : bool
            Whether to divide by the mean of the output, which does not underflow.

        Returns
        -------
        EntropyBound
            Tensors of shape [batch], float64, in units of the output, or with ``relative`` of its
            mean.

        Raises
        ------
        ValueError, TypeError
            As for `attribute`.
        """
        check_int("n_samples", n_samples, minimum=2)
        check_bool("relative", relative)
        x = one_tensor(inputs)
        law = self._noise(x, target, scale, noise, noise == "covariance", labels)
        result = Accumulator((), x, law, None, False, information=True)
        self._sample(
            x,
            target,
            additional_forward_args,
            law,
            result,
            n_samples=n_samples,
            seed=seed,
            paired=False,
            max_rows=internal_batch_size,
            progress=False,
        )
        return result.entropy(relative)

    @takes_arrays
    def local_conditional(
        self,
        inputs: Tensor,
        target: Any = None,
        additional_forward_args: Any = None,
        *,
        n_samples: int = 20,
        scale: float = 0.15,
        labels: int | Tensor | None = None,
        feature_mask: Tensor | None = None,
        relative: bool = False,
        seed: int = 0,
        internal_batch_size: int | None = None,
        return_error: bool = False,
    ) -> Any:
        """Compute the conditional score with all other features at their observed values.

        The score ``"conditional"`` lets all features vary. Here only the group S does, by its law
        given the others: ``E[f u' C u]`` under ``N(x_S, scale C)`` with
        ``C = ((Sigma^-1)_SS)^-1`` and ``u = (grad log f)_S``. Half of it times ``scale`` bounds the
        functional entropy of the output as a function of ``x_S`` alone.

        Parameters
        ----------
        inputs, target, additional_forward_args, scale, labels, seed, internal_batch_size, \
return_error
            As for `attribute`.
        n_samples : int
            Samples of each group; every group has its own, so the cost grows with their number.
        feature_mask : Tensor, shape of ``inputs`` or first dimension 1, optional
            Groups; default: single features.
        relative : bool
            Whether to divide by the mean of ``f`` over the samples of the group; not with
            ``return_error``.

        Returns
        -------
        Tensor, shape of ``inputs``
            Scores in units of the output, or with ``relative`` of its mean; with
            ``return_error`` a pair of such tensors.

        Raises
        ------
        ValueError, TypeError
            As for `attribute`.
        """
        check_int("n_samples", n_samples, minimum=2)
        x = one_tensor(inputs)
        placing = grouping(x, feature_mask, False)
        features = x[0].numel()
        owners = placing.groups or Groups(torch.arange(features, device=x.device), features)
        noise = self._noise(x, target, scale, "covariance", True, labels)
        law = LocalInformation(noise, owners, n_samples, errors=return_error)
        runner = self._runner(noise, target, additional_forward_args, internal_batch_size, False)
        # The errors here are those of independent samples.
        paired = pairing(None, return_error, relative, n_samples, ("conditional",))
        paired = paired and not return_error
        repeats = owners.n_groups * n_samples
        self._gradients(runner, law, law.add, len(x), repeats, seed, paired)
        return placing.place(law.score(relative), x.dtype)

    def _noise(
        self, x: Tensor, target: Any, scale: float, kind: str, needs: bool, labels: Any = None
    ) -> Noise:
        check_choice("noise", kind, ("isotropic", "covariance"))
        if check_number("scale", scale) <= 0:
            raise ValueError(f"scale must be positive, got {scale}")
        of_example = None
        if needs or kind == "covariance":
            of_example = by_example(self.covariance, x, target, labels)
        by_target = labels is None and isinstance(self.covariance, Mapping)
        return Noise(x, scale, kind, of_example, by_target=by_target)

    def _sample(
        self,
        x: Tensor,
        target: Any,
        additional_forward_args: Any,
        law: Noise,
        result: Accumulator,
        *,
        n_samples: int,
        seed: int,
        paired: bool,
        max_rows: int | None,
        progress: bool,
    ) -> None:
        def consume(examples: slice, repeats: slice, grads: Tensor, log_values: Tensor) -> None:
            result.add(examples, grads, log_values)

        runner = self._runner(law, target, additional_forward_args, max_rows, progress)
        self._gradients(runner, law, consume, len(x), n_samples, seed, paired)

    def _runner(
        self,
        law: Noise,
        target: Any,
        additional_forward_args: Any,
        internal_batch_size: int | None,
        progress: bool,
    ) -> Runner:
        if internal_batch_size is not None:
            check_int("internal_batch_size", internal_batch_size, minimum=1)
        output = _LOG_OUTPUTS[self.output]
        if law.by_example is not None and law.by_target:
            output = of_several_outputs(output)
        return Runner(
            self.forward_func,
            target=target,
            additional_forward_args=additional_forward_args,
            output=output,
            max_rows=internal_batch_size,
            progress=progress,
        )

    def _gradients(
        self,
        runner: Runner,
        law: Noise | LocalInformation,
        consume: Callable[[slice, slice, Tensor, Tensor], None],
        n_examples: int,
        n_repeats: int,
        seed: int,
        paired: bool,
    ) -> None:
        """Give gradients and values of ``log f`` at the samples to ``consume``."""

        def build(examples: slice, repeats: slice) -> tuple[Tensor, ...]:
            return (law.points(examples, repeats, seed=seed, paired=paired),)

        def take(
            examples: slice, repeats: slice, grads: tuple[Tensor, ...], values: Tensor
        ) -> None:
            if values.numel() != len(grads[0]):
                raise ValueError(
                    f"model must return one value for each of {n_examples} examples, got one "
                    "scalar for all"
                )
            of_f = self.output == "identity"
            found = of_logarithm(grads[0], values) if of_f else (grads[0], values)
            consume(examples, repeats, *found)

        runner.gradients(build, n_examples, n_repeats, take, with_values=True)


_LOG_OUTPUTS: dict[str, Any] = {
    "probability": "log_probability",
    "exp": None,
    "identity": None,
}
