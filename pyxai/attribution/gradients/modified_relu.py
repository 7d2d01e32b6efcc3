"""Gradients with another rule at ReLUs: what guided backpropagation and deconvolution share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from pyxai._checks import check_module
from pyxai._errors import UnsupportedOperationError, warn
from pyxai._inputs import format_inputs, restore_form
from pyxai.game.path import input_gradients
from pyxai.methods.base import GradientAttribution
from pyxai.runner import Runner, execution
from pyxai.tracing import unwrapped

__all__ = ["Mark", "ModifiedRelu"]

TensorOrTuple = Tensor | tuple[Tensor, ...]

Mark = Callable[[Any], Any]
"""Puts another rule on a ReLU in the record of autograd, and returns what takes it off again."""

_RELU = "ReluBackward0"
# Nodes that stand for whole parts of a model, whose ReLUs nobody sees.
_OPAQUE = {
    "CompiledFunctionBackward": "torch.compile",
    "DifferentiableGraphBackward": "torch.jit.script",
    "AutogradOpBackward": "torch.cond, a scan, a map or a while_loop",
}


class ModifiedRelu(GradientAttribution):
    """What the two methods share; they differ in what they do to a ReLU."""

    method: str
    _mark: Mark

    def __init__(self, model: nn.Module) -> None:
        super().__init__(model)
        check_module("model", model)
        self.model = model

    def attribute(
        self, inputs: TensorOrTuple, target: Any = None, additional_forward_args: Any = None
    ) -> TensorOrTuple:
        """Compute the modified gradient.

        Parameters
        ----------
        inputs : Tensor or tuple of Tensor, shape [batch, *features]
            float32, float64, bfloat16 or float16.
        target : int, tuple, list or Tensor, optional
            Which output, in any of captum's forms.
        additional_forward_args : any, optional
            Further arguments of the model. A tensor whose first size is that of the batch is taken
            to hold a row for each example; `pyxai.Shared` says that all rows share it.

        Returns
        -------
        Tensor or tuple of Tensor, shape of ``inputs``
            In output units per input unit, float64 for float64 inputs, else float32.

        Raises
        ------
        ValueError, TypeError
            If an argument does not fit.
        UnsupportedOperationError
            If a part of the model is one op to autograd, so that its ReLUs cannot be seen.

        Warns
        -----
        PyxaiWarning
            If the model has no ReLU, so that the result is the plain gradient.
        """
        given, is_tuple = format_inputs(inputs, gradients=True)
        marked = _MarkedRelus(unwrapped(self.model), self.method, type(self)._mark)
        with execution():  # compiled, the ReLUs could not be seen
            runner = Runner(marked, target=target, additional_forward_args=additional_forward_args)
        try:
            found = input_gradients(runner, given)
        finally:
            marked.release()
        if not marked.met:
            warn(
                f"{self.method} changes the gradient of ReLUs, and the model has none: the "
                "result is the plain gradient",
            )
        return restore_form(found, is_tuple)


class _MarkedRelus:
    """A model that marks the ReLUs which it ran, in the record that autograd keeps of the run.

    So they are seen whatever called them: modules, functions, code in C++. The model itself is
    not touched, nor anything that another thread could see.
    """

    def __init__(self, model: nn.Module, method: str, mark: Mark) -> None:
        self.model = model
        self.method = method
        self.mark = mark
        self.met = False
        """Whether a ReLU was marked so far."""
        self._marks: list[Any] = []

    @property
    def measured_as(self) -> tuple[Any, tuple[Any, ...]]:
        """What lives as long as the memory that it takes is known, and a name for it there."""
        return self.model, (_MarkedRelus, self.method)

    def __call__(self, *args: Any) -> Any:
        """Run the model and mark its ReLUs, where gradients are recorded."""
        self.release()
        with _OutOfPlace():
            outputs = self.model(*args)
        if isinstance(outputs, Tensor) and outputs.grad_fn is not None:
            for node in _recorded(outputs.grad_fn):
                name = node.name()
                for end, maker in _OPAQUE.items():
                    if name.endswith(end):
                        raise UnsupportedOperationError(
                            f"{self.method} must see the ReLUs of the model, got a part that is "
                            f"one op to autograd, made by {maker}; give it in plain Python"
                        )
                if name == _RELU:
                    self._marks.append(self.mark(node))
        self.met = self.met or bool(self._marks)
        return outputs

    def release(self) -> None:
        """Take the marks off: what a model keeps of a run is the user's."""
        for mark in self._marks:
            mark.remove()
        self._marks.clear()


def _recorded(last: Any) -> Iterator[Any]:
    """Yield the nodes that autograd would pass from one on, each once."""
    seen = {last}
    waiting = [last]
    while waiting:
        node = waiting.pop()
        yield node
        for before, _ in node.next_functions:
            if before is not None and before not in seen:
                seen.add(before)
                waiting.append(before)


class _OutOfPlace(TorchFunctionMode):
    """Write to a view what ReLU makes of it: of one in place, autograd's record shows nothing."""

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        if func in _IN_PLACE or (func is nn.functional.relu and _in_place(*args, **kwargs)):
            value = args[0] if args else kwargs["input"]
            if value._is_view():
                return value.copy_(torch.relu(value))
        return func(*args, **kwargs)


_IN_PLACE = (torch.relu_, Tensor.relu_)


def _in_place(input: Tensor, inplace: bool = False) -> bool:
    return inplace
