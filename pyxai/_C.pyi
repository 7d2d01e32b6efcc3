"""Native kernels; called by `pyxai.ops` only, which checks arguments first."""

from typing import Any

backends: list[str]

def host_run_reverse_threads(reverse: bool) -> None: ...
def __getattr__(name: str) -> Any: ...
