"""The global random state, which a model may read but must not leave moved."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor
from torch.utils._python_dispatch import _disable_current_modes

__all__ = ["RandomState", "random_state_kept"]


class RandomState:
    """The random state of the CPU and of CUDA devices, as it is now."""

    def __init__(self, devices: Iterable[torch.device] = ()) -> None:
        self._cuda = [device for device in devices if device.type == "cuda"]
        self._found = self._read()
        self.is_on_gpu = bool(self._cuda)
        self.is_settled = False
        """Whether it was seen that nobody drew, and nobody had a chance to since."""

    def settle(self) -> bool:
        """Look whether nobody has drawn random numbers so far, and return that."""
        self.is_settled = not self.has_moved()
        return self.is_settled

    def has_moved(self) -> bool:
        """Tell whether random numbers were drawn since."""
        if torch._C._len_torch_dispatch_stack():
            with _disable_current_modes():  # in those of a trace, tensors hold no values
                return self.has_moved()
        return not all(map(torch.equal, self._found, self._read()))

    def moved_besides(self, draw: Callable[[], object]) -> bool:
        """Tell whether the state is not where ``draw`` alone takes it, which is done again."""
        now = RandomState(self._cuda)
        self._put_back()
        draw()
        others = now.has_moved()
        now._put_back()
        return others

    def restore(self) -> None:
        """Put it back; where nobody drew, nothing is written, as other threads may draw."""
        if not self.is_settled and self.has_moved():
            self._put_back()

    def _put_back(self) -> None:
        torch.set_rng_state(self._found[0])
        for device, state in zip(self._cuda, self._found[1:], strict=True):
            torch.cuda.set_rng_state(state, device)

    def _read(self) -> list[Tensor]:
        if torch._C._len_torch_dispatch_stack():
            with _disable_current_modes():
                return self._read()
        own = torch.default_generator.get_state()
        return [own, *map(torch.cuda.get_rng_state, self._cuda)] if self._cuda else [own]


@contextmanager
def random_state_kept(devices: Iterable[torch.device] = ()) -> Iterator[None]:
    """Put the random state of the CPU and of CUDA devices back after a block."""
    found = RandomState(devices)
    try:
        yield
    finally:
        found.restore()
