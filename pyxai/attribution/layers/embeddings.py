"""Embedding layers that pass on vectors, and sequences of one token, as captum names them."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from pyxai._checks import check_int, check_module, describe
from pyxai.methods.layer import find_layer

__all__ = [
    "InterpretableEmbeddingBase",
    "TokenReferenceBase",
    "configure_interpretable_embedding_layer",
    "remove_interpretable_embedding_layer",
]


class InterpretableEmbeddingBase(nn.Module):
    """Stands in a model for an embedding layer and passes on the vectors that it is given.

    `configure_interpretable_embedding_layer` puts it there.

    Parameters
    ----------
    embedding : nn.Module
        The layer that it stands for.
    full_name : str
        The name of that layer in the model.

    Attributes
    ----------
    num_embeddings, embedding_dim : int or None
        Those of the layer, if it has them.
    """

    def __init__(self, embedding: nn.Module, full_name: str) -> None:
        super().__init__()
        self.num_embeddings = getattr(embedding, "num_embeddings", None)
        self.embedding_dim = getattr(embedding, "embedding_dim", None)
        self.embedding = embedding
        self.full_name = full_name
        self.training = embedding.training

    def forward(self, *inputs: Any, **kwargs: Any) -> Any:
        """Return the first argument, which holds vectors where the layer takes indices.

        Raises
        ------
        TypeError
            If there is none.
        """
        for value in (*inputs, *kwargs.values()):
            return value
        raise TypeError(f"inputs must hold the vectors of {self.full_name}, got no argument")

    def indices_to_embeddings(self, *input: Any, **kwargs: Any) -> Any:
        """Return the vectors of indices, by the layer that this stands for."""
        return self.embedding(*input, **kwargs)


class TokenReferenceBase:
    """Makes a sequence of one token, such as padding, as a baseline for ids.

    Parameters
    ----------
    reference_token_idx : int
        Id of the token.

    Examples
    --------
    >>> import torch
    >>> from pyxai.attribution import TokenReferenceBase
    >>> TokenReferenceBase(7).generate_reference(3, torch.device("cpu"))
    tensor([7, 7, 7])
    """

    def __init__(self, reference_token_idx: int = 0) -> None:
        self.reference_token_idx = check_int("reference_token_idx", reference_token_idx, minimum=0)

    def generate_reference(self, sequence_length: int, device: torch.device | str) -> Tensor:
        """Return the sequence.

        Parameters
        ----------
        sequence_length : int
            How many tokens.
        device : torch.device or str
            Where it is made.

        Returns
        -------
        Tensor, int64 [sequence_length]
        """
        length = check_int("sequence_length", sequence_length, minimum=0)
        return torch.full((length,), self.reference_token_idx, dtype=torch.int64, device=device)


def configure_interpretable_embedding_layer(
    model: nn.Module, embedding_layer_name: str = "embedding"
) -> InterpretableEmbeddingBase:
    """Let a model take vectors in place of indices, for methods that take gradients of its inputs.

    `LayerIntegratedGradients` and `pyxai.adapters.TextClassifier` need no such change of the model.

    Parameters
    ----------
    model : nn.Module
        Changed in place, until `remove_interpretable_embedding_layer`.
    embedding_layer_name : str
        Name of the layer among the model's ``named_modules()``.

    Returns
    -------
    InterpretableEmbeddingBase
        What now stands in its place; makes vectors of indices by ``indices_to_embeddings``.

    Raises
    ------
    TypeError
        If the model is no module, or the name no string.
    ValueError
        If there is no layer of that name, in which case the nearest are listed, or it has been
        configured already.

    Examples
    --------
    >>> import torch
    >>> from pyxai.attribution import (
    ...     IntegratedGradients,
    ...     configure_interpretable_embedding_layer,
    ...     remove_interpretable_embedding_layer,
    ... )
    >>> net = torch.nn.Sequential(torch.nn.Embedding(5, 2), torch.nn.Flatten())
    >>> layer = configure_interpretable_embedding_layer(net, "0")
    >>> vectors = layer.indices_to_embeddings(torch.tensor([[1, 4]]))
    >>> IntegratedGradients(net).attribute(vectors, target=0).shape
    torch.Size([1, 2, 2])
    >>> remove_interpretable_embedding_layer(net, layer)
    """
    check_module("model", model)
    if not isinstance(embedding_layer_name, str):
        raise TypeError(
            f"embedding_layer_name must be a string, got {describe(embedding_layer_name)}"
        )
    layer = find_layer(model, embedding_layer_name, "embedding_layer_name")
    if isinstance(layer, InterpretableEmbeddingBase):
        raise ValueError(
            "embedding_layer_name must name a layer that is not configured yet, got "
            f"{embedding_layer_name!r}"
        )
    wrapper = InterpretableEmbeddingBase(layer, embedding_layer_name)
    _put(model, embedding_layer_name, wrapper)
    return wrapper


def remove_interpretable_embedding_layer(
    model: nn.Module, interpretable_emb: InterpretableEmbeddingBase
) -> None:
    """Put the embedding layer of a model back.

    Parameters
    ----------
    model : nn.Module
        What `configure_interpretable_embedding_layer` changed.
    interpretable_emb : InterpretableEmbeddingBase
        What that returned.

    Raises
    ------
    TypeError
        If the model is no module, or ``interpretable_emb`` is something else.
    ValueError
        If the model has something else in that place.
    """
    check_module("model", model)
    if not isinstance(interpretable_emb, InterpretableEmbeddingBase):
        raise TypeError(
            "interpretable_emb must be what configure_interpretable_embedding_layer returned, "
            f"got {describe(interpretable_emb)}"
        )
    name = interpretable_emb.full_name
    found = find_layer(model, name, "interpretable_emb.full_name")
    if found is not interpretable_emb and found is not interpretable_emb.embedding:
        raise ValueError(
            f"interpretable_emb must be what stands for {name!r} in the model, got another; the "
            f"model has {describe(found)} there"
        )
    _put(model, name, interpretable_emb.embedding)


def _put(model: nn.Module, name: str, layer: nn.Module) -> None:
    above, _, last = name.rpartition(".")
    setattr(model.get_submodule(above), last, layer)
