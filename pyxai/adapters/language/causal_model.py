"""How a causal language model is called, whatever its forward is named and takes."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from pyxai._checks import check_model, describe
from pyxai.runner import EveryOutput, Runner

__all__ = ["CausalModel"]


class CausalModel:
    """A model of transformers' form: keyword arguments in, logits of the next token out.

    Parameters
    ----------
    forward_func : callable
        Takes ``input_ids`` by that name and, where it can, ``inputs_embeds``, ``attention_mask``,
        ``position_ids``, ``use_cache`` and ``logits_to_keep``; returns logits
        ``[rows, tokens, vocabulary]``, alone, first in a tuple, or as attribute ``logits``.

    Raises
    ------
    TypeError
        If it cannot be called, or takes no ``input_ids``.
    """

    def __init__(self, forward_func: Callable[..., Any]) -> None:
        check_model("model", forward_func)
        self.forward_func = forward_func
        called = forward_func.forward if isinstance(forward_func, nn.Module) else forward_func
        self._takes = frozenset(inspect.signature(called).parameters)
        if not self.takes("input_ids"):
            raise TypeError(
                "model must take input_ids by that name, as causal language models of "
                f"transformers do, got {describe(forward_func)}, which takes "
                f"{', '.join(sorted(self._takes)) or 'nothing'}"
            )

    def takes(self, name: str) -> bool:
        """Tell whether the model has an argument of this name."""
        return name in self._takes

    @functools.cached_property
    def embedding(self) -> nn.Module | None:
        """The layer that turns ids into vectors, where the model says which it is."""
        found = getattr(self.forward_func, "get_input_embeddings", lambda: None)()
        return found if isinstance(found, nn.Module) else None

    @property
    def device(self) -> torch.device:
        """Where ids have to be."""
        holder = self.embedding or self.forward_func
        if isinstance(holder, nn.Module):
            first = next(holder.parameters(), None)
            if first is not None:
                return first.device
        return torch.device("cpu")

    @property
    def dtype(self) -> torch.dtype:
        """Of the model's numbers; float32 where it has none."""
        if isinstance(self.forward_func, nn.Module):
            first = next((p for p in self.forward_func.parameters() if p.is_floating_point()), None)
            if first is not None:
                return first.dtype
        return torch.float32

    @property
    def is_noisy(self) -> bool:
        """Whether the model is in training mode, in which two runs may differ."""
        return bool(getattr(self.forward_func, "training", False))

    @property
    def n_ids(self) -> int | None:
        """How many ids the embedding has vectors for."""
        weight = getattr(self.embedding, "weight", None)
        return len(weight) if isinstance(weight, Tensor) else None

    @property
    def n_positions(self) -> int | None:
        """How many tokens the model takes at most, by its configuration."""
        config = getattr(self.forward_func, "config", None)
        config = getattr(config, "get_text_config", lambda: config)()
        found = getattr(config, "max_position_embeddings", None)
        return found if isinstance(found, int) and found > 0 else None

    def embedded(self, ids: Tensor) -> Tensor:
        """Return the vectors of ids: int64 [rows, tokens] -> [rows, tokens, width]."""
        if self.embedding is None:
            raise ValueError(
                "model must say which layer its embedding is, by get_input_embeddings(), for "
                f"methods that ask at the embedding, got {describe(self.forward_func)}"
            )
        if not self.takes("inputs_embeds"):
            raise ValueError(
                "model must take inputs_embeds for methods that ask at the embedding, got "
                f"{describe(self.forward_func)}, which takes none"
            )
        vectors = Runner(self.embedding, target=EveryOutput()).outputs((ids,))
        return vectors.view(*ids.shape, -1).to(self.dtype)

    def logits(self, n_last: int, **given: Any) -> Tensor:
        """Return logits of the last tokens of rows, [rows, n_last, vocabulary].

        ``given`` are tensors under the model's names; what is None is not passed on.
        """
        if self.takes("logits_to_keep"):  # the head is much of the work
            given["logits_to_keep"] = n_last
        if "use_cache" not in given and self.takes("use_cache"):
            given["use_cache"] = False
        named = {name: value for name, value in given.items() if value is not None}
        logits = _logits_of(self.forward_func(**named))
        rows = named["inputs_embeds" if "inputs_embeds" in named else "input_ids"]
        if logits.dim() != 3 or logits.shape[0] != rows.shape[0] or logits.shape[1] < n_last:
            raise ValueError(
                "model must return logits of shape [rows, tokens, vocabulary], got "
                f"{list(logits.shape)} for {list(rows.shape[:2])} rows and tokens; it must be a "
                "language model with its head"
            )
        return logits[:, -n_last:]


def _logits_of(output: Any) -> Tensor:
    found = getattr(output, "logits", output)
    if isinstance(found, (tuple, list)) and found:
        found = found[0]
    if not isinstance(found, Tensor):
        raise TypeError(
            "model must return logits, in a tensor, first in a tuple or as an attribute, got "
            f"{describe(output)}; it must be a language model with its head"
        )
    return found
