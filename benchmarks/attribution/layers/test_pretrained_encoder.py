"""Integrated gradients at the embeddings of a pretrained transformer, 16 sentences, 50 steps.

The model is 6 layers of BERT (`tests/helpers/pretrained_encoder.py`). The bare model runs forward
and backward from the same embeddings, padded to the longest sentence, on as many rows, at its best
batch size: the claim is at most 1.15 times its time. captum's loop is that of its tutorial, one
sentence after the other, without padding and with the delta. Half of the words of the batch are
padding; sentences of like lengths side by side, as `pyxai.adapters.TextClassifier` puts them,
leave little of it. On a CPU 50 rows of one sentence fill a pass: the loop takes no longer than the
bare model on its words, and the batch pays for its padding.
"""

import statistics
from functools import partial

import _sentences
import captum.attr
import pytest
import torch
from _adaptive import rows_taken
from _peers import quiet
from _timing import compare
from pretrained_encoder import MARKS, classifier_and_words
from torch import nn

from pyxai._timing import best_size
from pyxai.attribution import LayerIntegratedGradients

pytestmark = MARKS
STEPS, TARGET = 50, 1
SENTENCES = [
    "fine",
    "not my thing",
    "great cast",
    "would watch again",
    "I fell asleep twice",
    "the movie was surprisingly good",
    "worth the price of the ticket",
    "my children loved it and so did I",
    "one of the best documentaries that I have seen this year",
    "the plot makes no sense at all but the music carries it",
    "I hated every single minute of this long and boring play",
    "the director knows how to build tension without a drop of blood",
    "a warm and funny film about two sisters who inherit a bakery by the sea",
    "the jokes are old, the pictures are dull and the end can be seen from miles away",
    "it starts slowly, finds its feet in the second act and then throws everything away in an hour",
    "what a waste of a talented cast and of two hours of my life that I will not get back",
]


@pytest.fixture(scope="module")
def case():
    model, words, mask = classifier_and_words(SENTENCES)
    kept = (words == 101) | (words == 102)
    return model.requires_grad_(False), words, torch.where(kept, words, 0), mask


def bare(model, embedded, mask, size):
    """Return a call that runs the model forward and backward on all steps of all sentences."""
    rows, masks = embedded.repeat(STEPS, 1, 1), mask.repeat(STEPS, 1)

    def run():
        for first in range(0, len(rows), size):
            leaf = rows[first : first + size].detach().requires_grad_()
            output = model(leaf, masks[first : first + size])[:, TARGET].sum()
            torch.autograd.grad(output, leaf)

    return run


@pytest.mark.parametrize("threads", [1, 2])
def test_sentences_of_different_lengths(benchmark, case, threads):
    torch.set_num_threads(threads)
    model, words, start, mask = case
    ours = LayerIntegratedGradients(model, "bert.embeddings")
    theirs = captum.attr.LayerIntegratedGradients(model, model.bert.embeddings)
    lengths = mask.sum(1).tolist()

    def explain(method, rows, **options):
        width = max(lengths[row] for row in rows)
        given = (each[rows, :width] for each in (words, start))
        return method.attribute(*given, TARGET, mask[rows, :width], n_steps=STEPS, **options)

    @quiet
    def captum_loop():
        return [
            explain(theirs, [row], return_convergence_delta=True)[0] for row in range(len(words))
        ]

    def of_like_lengths():
        order = sorted(range(len(words)), key=lengths.__getitem__)
        return [explain(ours, order[first : first + 4]) for first in range(0, len(order), 4)]

    found = explain(ours, list(range(len(words))))
    for row, alone in enumerate(captum_loop()):
        torch.testing.assert_close(
            found[row, : lengths[row]], alone[0].detach(), rtol=1e-4, atol=1e-6
        )
    embedded = model.bert.embeddings(words)
    size = best_size(lambda n: bare(model, embedded, mask, n), (40, 100), rounds=1)
    compare(
        benchmark,
        lambda: explain(ours, list(range(len(words)))),
        {
            "bare model": bare(model, embedded, mask, size),
            "captum, a sentence at a time": captum_loop,
            "ours, of like lengths": of_like_lengths,
        },
        rounds=3,
    )


@pytest.mark.parametrize("output", ["logit", "probability"])
def test_adaptive_steps(benchmark, output):
    """Rows of the model for a sentence until its gap is 1 %, and fixed rules for the same gap.

    200 sentences and a trained head; of the first 40 the least of 10, 15, ... 50 nodes of
    Gauss-Legendre from which on all of these have a gap of at most 1 %.
    """
    model, sentences = _sentences.trained(200)
    net = model
    if output == "probability":
        net = nn.Sequential()
        net.forward = lambda *given: model(*given).softmax(1)
        net.add_module("model", model)
    method = LayerIntegratedGradients(net, model.bert.embeddings)

    def ask(each, n_steps):
        return method.attribute(
            each.words, each.baseline, each.target, each.mask,
            n_steps=n_steps, return_convergence_delta=True,
        )  # fmt: skip

    with torch.no_grad():
        moved = [
            float((net(s.words, s.mask) - net(s.baseline, s.mask))[0, s.target]) for s in sentences
        ]
    calls = [partial(ask, each, "auto") for each in sentences]
    calls[0]()  # which measures the model
    _, said = benchmark.pedantic(rows_taken, (model, calls, moved), rounds=1)
    least = []
    for each, change in zip(sentences[:40], moved, strict=False):
        needed = 50
        while needed > 5 and abs(float(ask(each, needed)[1])) <= 0.01 * abs(change):
            needed -= 5
        least.append(needed + 5)
    benchmark.extra_info |= {
        **said,
        "fixed nodes, median": statistics.median(least),
        "fixed nodes, least": min(least),
        "sentences that 50 nodes do not do": sum(each > 50 for each in least),
    }
