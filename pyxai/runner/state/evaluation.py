"""Run a model as it is used after training, in the midst of training."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from pyxai.runner.state.found import Found
from pyxai.runner.state.randomness import RandomState

__all__ = ["in_evaluation"]


@contextmanager
def in_evaluation(modules: tuple[nn.Module, ...]) -> Iterator[Found]:
    """Run a block with modules in evaluation mode and parameters that gradients flow to.

    A penalty of an explanation is part of a training step: dropout and batch norm must be those of
    the model that will be used, and the step goes on in training mode. Put back, also after an
    exception: the flag of every module, buffers and what else `Found` knows, the random state.
    """
    found = Found(modules)
    random = RandomState(found.devices)
    try:
        for module in modules:
            if isinstance(module, torch.jit.ScriptModule):
                module.train(False)
            else:
                module.training = False  # `eval` is often overridden, and goes to all children
        yield found
    finally:
        random.restore()
        found.restore(thorough=True)
