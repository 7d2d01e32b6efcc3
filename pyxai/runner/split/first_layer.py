"""A model as its first layer and the rest of it, both parts its own code."""

from __future__ import annotations

import functools
import weakref
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from pyxai.runner.mixing import agree
from pyxai.runner.split.chain import Chain, chain_of, is_bare, is_linear
from pyxai.runner.split.watch import FirstLayer, Recorder, Replacer, Step
from pyxai.runner.state import Found, left_as_found, modules_of

__all__ = ["PATH", "LayerSizes", "ModelChanged", "PartedModel", "may_be_cut", "part_model"]

PATH = "linear prefix"
"""Name of the fast path that asks the rest of the model, see `note_path`."""


class ModelChanged(RuntimeError):
    """A model used its input otherwise than when it was looked at: it is to be asked directly."""


class LayerSizes(NamedTuple):
    """What decides whether it pays to run a first layer by itself."""

    n_features: int
    size: int  # numbers that the layer returns for a row
    n_terms: int  # products that are summed for each of them
    has_matrix: bool  # whether it reads all features with one matrix


class _Seen(NamedTuple):
    """What a look at a model has shown."""

    sizes: LayerSizes
    chain: tuple[weakref.ref[nn.Module], ...] | None  # of a chain whose parts make up the whole


# Of first layers that were looked for, by model and form of its inputs; None: there is none.
_SEEN: weakref.WeakKeyDictionary[nn.Module, dict[Any, _Seen | None]] = weakref.WeakKeyDictionary()


@dataclass(frozen=True, eq=False)
class PartedModel:
    """A model of one input whose first layer is known, and with it all that it reads of the input.

    A callable: the rest of the model, from what the first layer returns, or the ReLU behind it, or
    the linear layer behind that.

    Attributes
    ----------
    model : nn.Module
    form : Tensor
        One row of the input without numbers.
    steps : list of Step
        What the model does to its input before, element by element, in the order of the elements.
    layer : FirstLayer
    before, after : Tensor
        What the layer gets and returns for the rows that the model was cut with.
    activation : "relu" or None
        What is left out of the rest besides: it is asked with what a ReLU returns.
    tail : tuple of Module or None
        The modules behind, where nothing else follows.
    second : nn.Linear or None
        What is left out besides the ReLU: it is asked with what this layer returns.
    """

    model: nn.Module
    form: Tensor
    steps: list[Step]
    layer: FirstLayer
    before: Tensor
    after: Tensor
    activation: Literal["relu"] | None = None
    tail: tuple[nn.Module, ...] | None = None
    second: nn.Linear | None = None

    @functools.cached_property
    def matrix(self) -> Tensor | None:
        """The layer's matrix [n_features, size] where it reads all features with one."""
        return self.layer.matrix if self.before.dim() == 2 else None

    @functools.cached_property
    def magnitudes(self) -> Tensor:
        """Absolute values of the matrix, where there is one."""
        assert self.matrix is not None
        return self.matrix.detach().abs()

    @functools.cached_property
    def sizes(self) -> LayerSizes:
        """Sizes of the layer."""
        matrix = self.matrix
        if matrix is not None:
            n_features, size = matrix.shape
            return LayerSizes(n_features, size, n_features, True)
        return LayerSizes(self.before[0].numel(), self.after[0].numel(), self.layer.n_terms, False)

    @property
    def measured_as(self) -> tuple[nn.Module, str]:
        """Under what name to remember what was learned of its memory."""
        last = "second layer" if self.second is not None else f"first {self.activation or 'layer'}"
        return self.model, f"behind its {last}"

    @property
    def asked_with(self) -> Tensor:
        """A row of the form that it is asked with."""
        if self.second is None:
            return self.after
        return self.after.new_empty(1, self.second.weight.shape[0])

    def behind_second(self) -> PartedModel | None:
        """Return what follows the linear layer behind the ReLU, where nothing else reads that."""
        if self.activation is None or not self.tail:
            return None
        second = self.tail[0]
        if not is_linear(second, self.after):
            return None
        return replace(self, second=second, tail=self.tail[1:])

    def __call__(self, after: Tensor) -> Any:
        """Return the model's output where its first layer returns ``after``, a row for each row.

        Or what ``activation`` makes of that.

        Raises
        ------
        ModelChanged
            If the model uses its input otherwise now; it will not be cut again.
        """
        if self.tail is not None:
            for module in self.tail:
                after = module(after)
            return after
        nothing = self.form.expand(len(after), *self.form.shape[1:])
        watch = Replacer(nothing, self.steps, self.layer, after)
        with watch:
            found = self.model(nothing)
        if watch.refused or not watch.was_there:
            _SEEN[self.model] = dict.fromkeys(_SEEN.get(self.model, ()))
            raise ModelChanged(
                "model must use its inputs in the same way in every pass for its first layer to be "
                f"run once, got another function ({watch.refused or 'none'})"
            )
        return found

    def before_of(self, rows: Tensor) -> Tensor:
        """Return what the layer gets for some rows."""
        with torch.no_grad():
            for step in self.steps:
                rows = step(rows)
        return rows

    def after_of(self, rows: Tensor) -> Tensor:
        """Return what the layer returns for some rows; autograd can follow."""
        for step in self.steps:
            rows = step(rows)
        return self.layer(rows)


def may_be_cut(inputs: Sequence[Tensor]) -> bool:
    """Whether inputs are one tensor, of a dtype in which another order of sums is but rounding."""
    x = inputs[0]
    return len(inputs) == 1 and type(x) is Tensor and x.dtype in (torch.float32, torch.float64)


def part_model(
    model: Any,
    inputs: Tensor,
    rows_of: Callable[[], Tensor],
    pays: Callable[[LayerSizes], bool],
    *,
    gradients: bool = False,
) -> PartedModel | None:
    """Cut a model behind its first layer, if that is all that reads the input.

    Parameters
    ----------
    model : callable
    inputs : Tensor, shape [batch, *features]
        Floating point.
    rows_of : callable
        Returns rows ``[2, *features]`` at which to see whether both parts make up the whole, where
        that is looked at.
    pays : callable
        Whether to go on, once the sizes of the first layer are known; they are remembered, so that
        a model of which nothing is gained is not run for that again.
    gradients : bool
        Whether gradients with respect to the input are asked for, which must then be the same too.

    Returns
    -------
    PartedModel or None
        None where it does not pay, or the model is no module that runs in Python, has hooks, does
        to its input something else first than scale, shift and reshape it, or has another output
        than its parts, or other gradients.
    """
    if not isinstance(model, nn.Module):
        return None
    seen, form = _SEEN.setdefault(model, {}), _form_of(inputs, gradients)
    known = seen.get(form)
    if form in seen and (known is None or not pays(known.sizes)):
        return None
    if not _is_plain(model, gradients):
        return None
    chain = chain_of(model)
    if known is not None and chain is not None and known.chain == chain.references:
        split = _part_chain(model, chain, inputs[:1], gradients)
        if split is not None and split.sizes == known.sizes:
            return split
    rows = rows_of()
    # What the model makes on the way to the layer is kept, and autograd may have to save it.
    kept = torch.inference_mode(False)
    with left_as_found(modules_of(model)) as state, kept, torch.no_grad():
        try:
            seen[form] = None
            # As it is asked later, since a model may treat what autograd follows in its own way.
            watch = Recorder(rows.clone().requires_grad_(gradients))
            with watch, torch.set_grad_enabled(gradients):
                own = model(watch.inputs)
            state.restore()
            own, after = own.detach(), watch.after.detach()
            if watch.layer is None or watch.refused or len(after) != len(rows):
                return None
            if not _is_as_named(watch.layer, watch.before.detach(), after):
                return None
            nothing = rows.new_full((), torch.nan).expand(1, *rows.shape[1:])
            before = watch.before.detach().clone()
            split = PartedModel(model, nothing, watch.steps, watch.layer, before, after)
            seen[form] = _Seen(split.sizes, None)
            if not pays(split.sizes) or own.shape[:1] != (len(rows),):  # outputs of all rows
                return None
            # One row more, as what is done to the input may depend on their number.
            more = split(torch.cat([after, after[:1]]))
            state.restore()
            if not agree(more, torch.cat([own, own[:1]])):
                return None
            if gradients and not _gradients_agree(split, rows, state):
                return None
            if chain is None:
                return split
            parted = _part_chain(model, chain, rows[:1], gradients)
            if parted is None:
                return split
            seen[form] = _Seen(split.sizes, chain.references)
            return parted
        except Exception:  # the model's own errors come from where it is asked for itself
            return None


def _part_chain(model: nn.Module, chain: Chain, row: Tensor, gradients: bool) -> PartedModel | None:
    """Cut a chain of modules by running the first of them: no other gets the input."""
    nothing = row.new_full((), torch.nan).expand_as(row)
    head = chain.head[0]
    if len(chain.head) == 1 and is_linear(head, row):  # of which it is known how it runs
        layer = FirstLayer(functional.linear, (head.weight, head.bias), {})
        after = row.new_empty(1, head.weight.shape[0])
        return _as_chain(PartedModel(model, nothing, [], layer, row, after), chain, gradients)
    # A mode may draw random numbers.
    kept: AbstractContextManager[Any] = (
        nullcontext() if is_bare() else left_as_found(modules_of(model))
    )
    with kept, torch.inference_mode(False), torch.no_grad():
        watch = Recorder(row.clone())
        try:
            with watch:
                value = watch.inputs
                for module in chain.head:
                    value = module(value)
            if watch.layer is None or watch.refused or len(watch.after) != 1:
                return None
            # Nothing else is made of it, by a function of the user's in the place of torch's, say.
            own = torch.equal(value, watch.after)
            if not own or not _is_as_named(watch.layer, watch.before, watch.after):
                return None
        except Exception:  # as above
            return None
    split = PartedModel(model, nothing, watch.steps, watch.layer, watch.before, watch.after)
    return _as_chain(split, chain, gradients)


def _is_as_named(layer: FirstLayer, before: Tensor, after: Tensor) -> bool:
    """Whether a layer returns what torch's function of its name does: a mode may run another."""
    if is_bare():
        return True
    with torch._C.DisableTorchFunction():
        return agree(after, layer(before).detach())


def _as_chain(split: PartedModel, chain: Chain, gradients: bool) -> PartedModel:
    """Return a model that goes on by its modules, from where no gradient is to be taken back."""
    if gradients or not chain.begins_with_relu:
        return replace(split, tail=chain.tail)
    return replace(split, activation="relu", tail=chain.tail[1:])


def _form_of(rows: Tensor, gradients: bool) -> tuple[Any, ...]:
    return rows.shape[1:], rows.dtype, rows.device, gradients, is_bare()


def _gradients_agree(split: PartedModel, rows: Tensor, state: Found) -> bool:
    """Whether a sum of all outputs has the gradients through both parts that it has directly.

    The model's code behind the layer goes back as it does without the cut; but before it a model
    may detach its input, or make up the gradient.
    """
    with torch.inference_mode(False), torch.enable_grad():
        leaf = rows.detach().clone().requires_grad_()
        direct = _gradient(split.model, leaf)
        state.restore()
        after = split.after_of(leaf)
        behind = _gradient(split, after.detach().requires_grad_())
        state.restore()
        (found,) = torch.autograd.grad(after, leaf, behind)
    return agree(found, direct)


def _gradient(model: Callable[[Tensor], Tensor], leaf: Tensor) -> Tensor:
    outputs = model(leaf.clone()).flatten(1)  # the model may write into what it is given
    places = torch.arange(1, outputs.shape[1] + 1, dtype=outputs.dtype, device=outputs.device)
    (found,) = torch.autograd.grad((outputs * places.cos()).sum(), leaf)
    return found


def _is_plain(model: nn.Module, gradients: bool) -> bool:
    """Whether a model runs its modules in Python here, and nobody listens to them.

    On the way back, that is where gradients are asked for.
    """
    if torch.is_autocast_enabled("cpu") or torch.is_autocast_enabled("cuda"):
        return False
    if nn.modules.module._has_any_global_hook():  # type: ignore[no-untyped-call] # torch's
        return False
    for module in modules_of(model):
        scripted = isinstance(module, torch.jit.ScriptModule)
        spread = isinstance(module, (nn.DataParallel, nn.parallel.DistributedDataParallel))
        if scripted or spread or _is_compiled(module):
            return False
        if module._forward_hooks or module._forward_pre_hooks:
            return False
        if gradients and (module._backward_hooks or module._backward_pre_hooks):
            return False
    return True


def _is_compiled(module: nn.Module) -> bool:
    """Whether torch.compile runs it: as a module, in its place, or what its ``forward`` is."""
    return (
        "_orig_mod" in module._modules  # `hasattr` asks long for what is not there
        or module._compiled_call_impl is not None
        or hasattr(module.forward, "_torchdynamo_orig_callable")
    )
