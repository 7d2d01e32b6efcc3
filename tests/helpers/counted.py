"""What a method asks of a model, counted: rows, and arithmetic."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry


class Counting(nn.Module):
    """A model that counts the rows that come through it, forward and backward."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net
        self.forwards = self.backwards = 0

    def forward(self, x: Tensor) -> Any:
        self.forwards += len(x)
        out = self.net(x)
        if out.requires_grad:
            out.register_hook(self._back)
        return out

    def _back(self, gradient: Tensor) -> None:
        self.backwards += len(gradient)


class Arithmetic(TorchDispatchMode):
    """Counts the arithmetic of linear layers and convolutions, forward and backward."""

    total = 0

    def __torch_dispatch__(self, function: Any, types: Any, given: Any = (), named: Any = None):
        out = function(*given, **(named or {}))
        if function._overloadpacket in flop_registry:
            self.total += flop_registry[function._overloadpacket](
                *given, **(named or {}), out_val=out
            )
        return out


def one_more(measure: Callable[[int], Any]) -> Any:
    """Return what an example costs beyond what the call costs, given the cost of a batch."""
    return (measure(16) - measure(8)) / 8
