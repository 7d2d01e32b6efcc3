"""Whether a graph that was traced before still is the model, found out with one row."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from pyxai.runner.arguments import own_values, take_arguments
from pyxai.runner.mixing import agree
from pyxai.runner.state import left_as_found
from pyxai.tracing.graph import Graph

__all__ = ["attributes_kept", "check_current", "is_current", "outputs_as_found"]


def is_current(
    graph: Graph, inputs: tuple[Tensor, ...], arguments: tuple[Any, ...], batch: int
) -> bool:
    """Whether graph and model give the same output, but for rounding, for the first row.

    Where the graph serves one batch size only, the whole batch goes through. In training mode,
    where outputs may be random, and without rows nothing can be said: True.
    """
    if batch == 0 or any(module.training for module in graph.model.modules()):
        return True
    if graph.batch_is_free and graph.program.rows_apart and graph.program.accepts(1):
        inputs, arguments = take_arguments((inputs, arguments), slice(0, 1), batch)
    own = outputs_as_found(graph.model, inputs, arguments)
    with torch.no_grad():
        found = graph.run(inputs, arguments, keep=lambda node: False)[graph.output]
    return agree(found, own) or not agree(outputs_as_found(graph.model, inputs, arguments, 1), own)


def check_current(
    graph: Graph, inputs: tuple[Tensor, ...], arguments: tuple[Any, ...], batch: int
) -> None:
    """Raise ``RuntimeError`` if graph and model differ."""
    if not is_current(graph, inputs, arguments, batch):
        raise RuntimeError(
            f"the graph traced from {type(graph.model).__name__} must give the model's own output, "
            "got another one: its code asks whether it is traced, or changes what it does"
        )


def outputs_as_found(
    model: nn.Module, inputs: tuple[Tensor, ...], arguments: tuple[Any, ...], draws: int = 0
) -> Any:
    """Run the model and leave it as found; ``draws`` random numbers are skipped before."""
    with attributes_kept(model), left_as_found(tuple(model.modules())), torch.no_grad():
        torch.rand(draws, device=inputs[0].device)
        # The model may write into what it gets.
        return model(*(value.clone() for value in inputs), *own_values(arguments))


@contextlib.contextmanager
def attributes_kept(model: nn.Module) -> Iterator[None]:
    """Put back what a forward writes into the attributes of modules."""
    attributes = {module: dict(module.__dict__) for module in model.modules()}
    try:
        yield
    finally:
        for module, found in attributes.items():
            now = module.__dict__  # other threads may be reading what is as it was
            for name in now.keys() - found.keys():
                now.pop(name, None)
            for name, value in found.items():
                if now.get(name, found) is not value:
                    now[name] = value
