"""The global random state, which a model may read but must not leave moved."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch
from torch import Tensor
from torch.utils._python_dispatch import _disable_current_modes

__all__ = ["RandomState", "random_state_kept"]


class RandomState:
    """The random state of the CPU and of CUDA devices, as it is now."""

    def __init__(self, devices: Iterable[torch.device] = ()) -> None:
        self._cuda = [device for device in devices if device.type == "cuda"]
        self._found = self._read()
        self.is_settled = False
        """Whether it was seen that nobody drew, and nobody had a chance to since."""

    def settle(self) -> bool:
        """Look whether nobody has drawn random numbers so far, and return that."""
        self.is_settled = not self.has_moved()
        return self.is_settled

    def has_moved(self) -> bool:
        """Tell whether random numbers were drawn since."""
        now = self._read()
        with _real():
            return not all(map(torch.equal, self._found, now))

    def restore(self) -> None:
        """Put it back; where nobody drew, nothing is written, as other threads may draw."""
        if not self.is_settled and self.has_moved():
            torch.set_rng_state(self._found[0])
            for device, state in zip(self._cuda, self._found[1:], strict=True):
                torch.cuda.set_rng_state(state, device)

    def _read(self) -> list[Tensor]:
        with _real():
            return [torch.get_rng_state(), *map(torch.cuda.get_rng_state, self._cuda)]


@contextmanager
def random_state_kept(devices: Iterable[torch.device] = ()) -> Iterator[None]:
    """Put the random state of the CPU and of CUDA devices back after a block."""
    found = RandomState(devices)
    try:
        yield
    finally:
        found.restore()


def _real() -> AbstractContextManager[object]:
    """Return a block out of dispatch modes: while a model is traced, tensors hold no values."""
    traced = torch._C._len_torch_dispatch_stack()
    return _disable_current_modes() if traced else nullcontext()
