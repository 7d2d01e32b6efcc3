"""Vectors in place of indices, as captum's tutorials take them; captum is the reference."""

import warnings

import captum.attr
import pytest
import torch
from torch import nn

from pyxai.attribution import (
    IntegratedGradients,
    InterpretableEmbeddingBase,
    LayerIntegratedGradients,
    TokenReferenceBase,
    configure_interpretable_embedding_layer,
    remove_interpretable_embedding_layer,
)


class Classifier(nn.Module):
    """Sentences of ids to two scores, with the embedding layer within another module."""

    def __init__(self):
        super().__init__()
        self.inner = nn.Module()
        self.inner.words = nn.Embedding(9, 4)
        self.tied = self.inner.words
        self.score = nn.Linear(4, 2)

    def forward(self, ids):
        return self.score(self.inner.words(ids).tanh().mean(1))


@pytest.fixture
def net():
    torch.manual_seed(0)
    return Classifier().double().eval()


IDS = torch.tensor([[1, 4, 2], [8, 0, 3]])


def parts(net):
    return [(name, module, module.training) for name, module in net.named_modules()]


def test_gradients_of_the_vectors_are_those_of_captum_and_of_the_layer(net):
    before, keys = parts(net), list(net.state_dict())
    layer = configure_interpretable_embedding_layer(net, "inner.words")
    vectors = layer.indices_to_embeddings(IDS)
    start = layer.indices_to_embeddings(torch.zeros_like(IDS))
    found = IntegratedGradients(net).attribute(vectors, start, target=1, n_steps=20)
    remove_interpretable_embedding_layer(net, layer)
    assert parts(net) == before
    assert list(net.state_dict()) == keys
    direct = LayerIntegratedGradients(net, "inner.words").attribute(
        IDS, torch.zeros_like(IDS), target=1, n_steps=20
    )
    torch.testing.assert_close(found, direct)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # theirs warns of each change
        theirs = captum.attr.configure_interpretable_embedding_layer(net, "inner.words")
    expected = captum.attr.IntegratedGradients(net).attribute(vectors, start, target=1, n_steps=20)
    captum.attr.remove_interpretable_embedding_layer(net, theirs)
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("training", [True, False])
def test_what_stands_in_says_what_it_stands_for(net, training):
    net.inner.words.train(training)
    layer = configure_interpretable_embedding_layer(net, "inner.words")
    assert isinstance(layer, InterpretableEmbeddingBase)
    assert (layer.num_embeddings, layer.embedding_dim) == (9, 4)
    assert layer.full_name == "inner.words"
    assert layer.training is training
    vectors = torch.ones(1, 2, 4)
    assert layer(vectors) is vectors
    assert layer(input=vectors, other=None) is vectors
    with pytest.raises(TypeError, match=r"the vectors of inner\.words, got no argument"):
        layer()


def test_only_the_place_of_that_name_is_changed(net):
    layer = configure_interpretable_embedding_layer(net, "tied")
    assert net.tied is layer
    assert net.inner.words is layer.embedding
    remove_interpretable_embedding_layer(net, layer)
    assert net.tied is net.inner.words
    remove_interpretable_embedding_layer(net, layer)  # there is nothing left to do
    assert net.tied is net.inner.words


def test_the_name_of_a_layer_is_optional():
    net = nn.Module()
    net.embedding = nn.EmbeddingBag(4, 2)
    assert configure_interpretable_embedding_layer(net).embedding_dim == 2


def test_refused(net):
    with pytest.raises(
        ValueError, match=r"name among .*, got 'inner.word'; did you mean 'inner.wo"
    ):
        configure_interpretable_embedding_layer(net, "inner.word")
    with pytest.raises(TypeError, match="embedding_layer_name must be a string, got a Embedding"):
        configure_interpretable_embedding_layer(net, net.tied)
    with pytest.raises(TypeError, match=r"model must be an nn\.Module"):
        configure_interpretable_embedding_layer(net.forward, "tied")
    layer = configure_interpretable_embedding_layer(net, "tied")
    with pytest.raises(ValueError, match="a layer that is not configured yet, got 'tied'"):
        configure_interpretable_embedding_layer(net, "tied")
    with pytest.raises(TypeError, match="interpretable_emb must be what configure_"):
        remove_interpretable_embedding_layer(net, net.inner.words)
    other = Classifier()
    with pytest.raises(
        ValueError, match="must be what stands for 'tied' in the model, got another"
    ):
        remove_interpretable_embedding_layer(other, layer)


@pytest.mark.parametrize("length", [1, 5])
def test_sequences_of_one_token(length):
    cpu = torch.device("cpu")
    found = TokenReferenceBase(reference_token_idx=3).generate_reference(length, device=cpu)
    expected = captum.attr.TokenReferenceBase(3).generate_reference(length, device=cpu)
    assert found.dtype == expected.dtype
    assert torch.equal(found, expected)


def test_sequences_are_of_ids():
    assert TokenReferenceBase().generate_reference(0, "cpu").dtype == torch.int64
    with pytest.raises(TypeError, match="reference_token_idx must be an integer, got '<pad>'"):
        TokenReferenceBase("<pad>")
    with pytest.raises(ValueError, match="sequence_length must be at least 0, got -1"):
        TokenReferenceBase().generate_reference(-1, "cpu")
