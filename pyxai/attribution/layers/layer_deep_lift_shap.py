"""Deep SHAP at a layer."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

from pyxai._inputs import flat_features, format_background
from pyxai.attribution.layers.cuts.cut import Cut, one_or_tuple
from pyxai.attribution.layers.cuts.traced_cut import TracedCuts, beside
from pyxai.attribution.layers.layer_deep_lift import on_first
from pyxai.attribution.propagated.deep_lift import Custom
from pyxai.attribution.propagated.deep_lift_shap import DeepLiftShap
from pyxai.attribution.sampled.gradient_shap import rows_to_draw_from
from pyxai.explanation.rows import take_target
from pyxai.methods.layer import LayerAttribution
from pyxai.methods.store import register
from pyxai.runner.mixing import per_output
from pyxai.runner.target import Target

__all__ = ["LayerDeepLiftShap"]


@register(
    "layer_deep_lift_shap",
    summary="DeepLIFT of the values of a layer, averaged over a background set",
    cost=(
        "1 output + 1 output from the layer + n_background backward passes from the layer, traced"
    ),
    use="units of a deep net against typical rows; not the Shapley values of the whole model",
    of="layer",
    complete=True,
    baselines="distribution",
    needs="module",
)
class LayerDeepLiftShap(LayerAttribution):
    """The mean of `LayerDeepLift` over a distribution of baselines.

    Parameters
    ----------
    model : nn.Module
        Returns one tensor, a row per example; it runs ``layer`` exactly once.
    layer : nn.Module or str
        One of its modules, or its name.
    multiply_by_inputs : bool
        Whether to multiply by the difference; else the mean multipliers are returned.
    rule, strict
        As of `DeepLiftShap`.

    Notes
    -----
    The attributions sum to ``f(x) - mean_b f(b)`` where the whole model passes through the layer.

    References
    ----------
    .. [1] S. Lundberg, S.-I. Lee, "A Unified Approach to Interpreting Model Predictions",
       NeurIPS 2017, section 4.2, at a layer.

    Examples
    --------
    >>> import torch
    >>> from pyxai.attribution import LayerDeepLiftShap
    >>> layers = [torch.nn.Linear(3, 4), torch.nn.ReLU(), torch.nn.Linear(4, 2)]
    >>> net = torch.nn.Sequential(*layers).eval()
    >>> inputs, background = torch.ones(5, 3), torch.zeros(2, 3)
    >>> LayerDeepLiftShap(net, "0").attribute(inputs, background, target=1).shape
    torch.Size([5, 4])
    """

    def __init__(
        self,
        model: nn.Module,
        layer: Any,
        multiply_by_inputs: bool = True,
        *,
        rule: str = "rescale",
        strict: bool = True,
    ) -> None:
        super().__init__(model, layer)
        DeepLiftShap(model, multiply_by_inputs, rule=rule, strict=strict)  # refuses what is wrong
        self.model = model
        self._multiply_by_inputs = multiply_by_inputs
        self._options: dict[str, Any] = {"rule": rule, "strict": strict}
        self._cuts = TracedCuts(model, self.layer)

    @property
    def multiplies_by_inputs(self) -> bool:
        """Whether attributions are in output units, rather than per unit of the layer."""
        return self._multiply_by_inputs

    def has_convergence_delta(self) -> bool:
        """Tell that the attributions sum to the difference of two outputs."""
        return True

    def attribute(
        self,
        inputs: Tensor | tuple[Tensor, ...],
        baselines: Tensor | tuple[Tensor, ...] | Callable[..., Any],
        target: Any = None,
        additional_forward_args: Any = None,
        return_convergence_delta: bool = False,
        attribute_to_layer_input: bool = False,
        custom_attribution_func: Custom | None = None,
    ) -> Any:
        """Attribute the difference from the mean over baselines to the layer.

        Parameters
        ----------
        inputs : Tensor or tuple of Tensor, shape [batch, *features]
            What to explain, of any real dtype.
        baselines : Tensor, tuple of Tensor, or callable, shape [n_baselines, *features]
            Rows that are compared with every input; or a function of the inputs (or of nothing)
            that returns them.
        target : int, tuple, list or Tensor, optional
            Which output is explained.
        additional_forward_args : any, optional
            Further arguments of the model. A tensor whose first size is that of the batch is taken
            to hold a row for each example, which goes with every baseline that the example is
            compared with, one example after the other; `pyxai.Shared` says that all rows share it.
        return_convergence_delta : bool
            Whether to return the delta of each pair as well.
        attribute_to_layer_input : bool
            Whether to take the layer's input instead of its output.
        custom_attribution_func : callable, optional
            Takes tuples of multipliers, values and their baselines (the first one, two or all) of
            the layer, and returns the tuple of attributions.

        Returns
        -------
        attributions : Tensor or tuple of Tensor, shape [batch, ...]
            Like the layer's values, in output units; a tuple if the layer has several tensors.
        delta : Tensor, shape [batch * n_baselines]
            Only with ``return_convergence_delta``: one per pair, the baselines of an example side
            by side, in output units; what passes the layer by is taken off in the mean.

        Raises
        ------
        UnsupportedOperationError
            If an op of the model has no rule and ``strict``, or the model cannot be traced.
        ValueError, TypeError
            If an argument does not fit, or the model does not run the layer exactly once.
        """
        cut = self._cuts.at(inputs, additional_forward_args, attribute_to_layer_input)
        rows = format_background(rows_to_draw_from(baselines, inputs), cut.inputs, name="baselines")
        custom, batch = custom_attribution_func, len(cut.inputs[0])
        if custom is not None:
            custom = on_first(custom, len(cut.values))
        if cut.arguments_follow and batch > 1:
            Target(target).check_examples(batch)
            # What the layer gives for a baseline differs from example to example.
            parts, pairs = _joined(
                self._compare(
                    self._cuts.at(*cut.example(number), attribute_to_layer_input),
                    rows,
                    take_target(target, torch.tensor([number]), batch),
                    custom,
                )
                for number in range(batch)
            )
        else:
            parts, pairs = self._compare(cut, rows, target, custom)
        result = one_or_tuple(parts)
        return (result, pairs.flatten()) if return_convergence_delta else result

    def _compare(
        self, cut: Cut, rows: tuple[Tensor, ...], target: Any, custom: Custom | None
    ) -> tuple[tuple[Tensor, ...], Tensor]:
        """Return the attributions, [examples, ...] each, and deltas [examples, n_baselines]."""
        values, others = cut.values, beside(cut)
        method = DeepLiftShap(self._cuts.rest(cut), self._multiply_by_inputs, **self._options)
        found, delta = method.attribute(
            (*values, *others),
            (*cut.at_background(rows), *rows[: len(others)]),
            target,
            cut.given[len(others) :],
            True,
            custom,
        )
        pairs = delta.unflatten(0, (-1, len(rows[0])))
        for part in found[len(values) :]:
            pairs = pairs - per_output(flat_features(part).sum(1), pairs)[:, None]
        return found[: len(values)], pairs


def _joined(
    found: Iterable[tuple[tuple[Tensor, ...], Tensor]],
) -> tuple[tuple[Tensor, ...], Tensor]:
    parts, pairs = zip(*found, strict=True)
    return tuple(torch.cat(part) for part in zip(*parts, strict=True)), torch.cat(pairs)
