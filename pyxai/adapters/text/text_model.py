"""A classifier of texts as modules that the methods can ask."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from pyxai._checks import check_module, describe
from pyxai.attribution.layers.cuts.from_layers import FromLayersModule
from pyxai.methods.layer import find_layer, name_of_layer

__all__ = ["TextModel", "UnitGame", "embedding_of", "most_positions"]


class TextModel(nn.Module):
    """A model as a function of ids and mask, both int64 [batch, tokens], to [batch, classes].

    Parameters
    ----------
    model : nn.Module
    forward : callable, optional
        What to call with ids and mask in place of the model.
    """

    def __init__(self, model: nn.Module, forward: Callable[..., Any] | None) -> None:
        super().__init__()
        self.model = model
        self.training = model.training
        self._called = forward
        self._by_name = hasattr(model, "get_input_embeddings")

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        """Return the scores of classes."""
        if self._called is not None:
            found = self._called(ids, mask)
        elif self._by_name:
            found = self.model(input_ids=ids, attention_mask=mask)
        else:
            found = self.model(ids, mask)
        scores = getattr(found, "logits", found)
        if not isinstance(scores, Tensor) or scores.dim() not in (1, 2) or len(scores) != len(ids):
            got = describe(scores) if isinstance(scores, Tensor) else describe(found)
            raise ValueError(
                "model must return logits of shape [batch, classes], or a tensor of that shape; "
                f"where it returns something else, give forward(ids, mask); got {got} for "
                f"{len(ids)} texts"
            )
        return scores


class UnitGame(nn.Module):
    """A model as a function of which units are present, from 0 to 1, [batch, n_units].

    Parameters
    ----------
    rest : FromLayersModule
        The model behind the embedding.
    hides : bool
        Whether absent tokens are hidden from attention, rather than replaced.
    """

    def __init__(self, rest: FromLayersModule, hides: bool) -> None:
        super().__init__()
        self.rest, self.hides = rest, hides
        self.training = rest.training

    def forward(
        self,
        presence: Tensor,
        values: Tensor,
        absent: Tensor,
        owners: Tensor,
        ids: Tensor,
        mask: Tensor,
    ) -> Tensor:
        """Run the model on tokens between their vectors and those that stand for absent ones.

        ``owners``, int64 [batch, tokens], has the unit of each token, ``n_units`` for tokens that
        are always present.
        """
        always = presence.new_ones(len(presence), 1)
        share = torch.cat([presence, always], 1).gather(1, owners)
        if self.hides:
            scores: Tensor = self.rest(values, ids, mask * share.round().to(mask.dtype))
            return scores
        # As both ends are exact, tokens that are present are what the model was given.
        weight = share.reshape(*share.shape, *[1] * (values.dim() - 2)).to(values.dtype)
        scores = self.rest(torch.lerp(absent, values, weight), ids, mask)
        return scores


def embedding_of(model: nn.Module, embedding: Any) -> tuple[nn.Module, str]:
    """Return the layer that gives each token its vector, and its name in the model.

    Raises
    ------
    ValueError
        If the model does not say which it is and none is given, or has none of that name.
    TypeError
        If it is neither a module nor a name.
    """
    check_module("model", model)
    if embedding is not None:
        layer = find_layer(model, embedding, "embedding")
        return layer, name_of_layer(model, layer, "embedding")
    try:
        found = model.get_input_embeddings()  # type: ignore[operator] # of transformers
    except (AttributeError, NotImplementedError):
        found = None
    tables = {name: one for name, one in model.named_modules() if isinstance(one, nn.Embedding)}
    if not isinstance(found, nn.Module) and len(tables) == 1:
        [found] = tables.values()
    if not isinstance(found, nn.Module):
        several = f"; it has {', '.join(map(repr, tables))}" if tables else ""
        raise ValueError(
            "embedding must be given, a module or its name, where the model does not say which "
            f"layer embeds its tokens, got None{several}"
        )
    return found, name_of_layer(model, found)


def most_positions(model: nn.Module) -> int | None:
    """Return how many tokens the positions of a model take, if it has a table of them."""
    for name, module in model.named_modules():
        if name.rpartition(".")[2] in ("position_embeddings", "wpe") and isinstance(
            module, nn.Embedding
        ):
            # Where one is for padding, the first ones are kept free up to it.
            first = 0 if module.padding_idx is None else module.padding_idx + 1
            return int(module.num_embeddings) - first
    return None
