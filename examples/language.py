"""What does a language model's answer owe to the words that it read?

A small model of GPT-2's shape is trained here on sentences in which the weather decides which of
three things is done, and the place does not. Run it with ``python examples/language.py``; it takes
seconds and needs ``transformers``.
"""

from __future__ import annotations

import itertools

import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

from pyxai.adapters import LanguageModel

PLACES = ["in rome", "in oslo", "in lima", ""]  # a sentence may lack any of its parts
DONE = {"warm": "swim in the sea", "cold": "skate on the ice", "wet": "read in the house"}
DAYS = ["today", ""]


def sentences() -> list[str]:
    """Return all that there are, as often as they come."""
    found = []
    for place, weather, day, done in itertools.product(PLACES, DONE, DAYS, DONE):
        if weather == done:
            found += [f"<s> {place} it is {weather} {day} so we {DONE[weather]} ."]
        found += [f"<s> {place} it is {day} so we {DONE[done]} ."] if weather == "wet" else []
    return found


made = sentences()
words = sorted({word for each in made for word in each.split()})
core = Tokenizer(models.WordLevel({word: number for number, word in enumerate(words)}, "."))
core.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
tokenizer = PreTrainedTokenizerFast(
    tokenizer_object=core, bos_token="<s>", eos_token=".", pad_token="."
)

torch.manual_seed(0)
sizes = {"n_layer": 2, "n_embd": 32, "n_head": 2, "n_positions": 32}
ends = {"bos_token_id": words.index("<s>"), "eos_token_id": words.index(".")}
dropout = {"resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0}
model = GPT2LMHeadModel(GPT2Config(vocab_size=len(words), **sizes, **ends, **dropout))
batch = tokenizer(made, padding=True, return_tensors="pt")
labels = batch["input_ids"].where(batch["attention_mask"] > 0, -100)
optimiser = torch.optim.Adam(model.parameters(), lr=1e-2)
for step in range(200):
    optimiser.param_groups[0]["lr"] = 1e-2 * (1 - step / 200)
    optimiser.zero_grad()
    model(**batch, labels=labels).loss.backward()
    optimiser.step()
model.eval()

# A template: what stands in its slots can be absent, the rest is always there.
result = LanguageModel(model, tokenizer).explain(
    "<s> {place} it is {weather} {day} so we",
    values={"place": "in oslo", "weather": "cold", "day": "today"},
    unit="slot",
    method="shapley_values",
)
print(result)
print(f"\nthe model writes: {result.continuation!r}")
print("\nby token, in log-probability (one of three things is log 3 = 1.10):")
for token, row in zip(result.tokens, result.attributions.tolist(), strict=True):
    shares = ", ".join(
        f"{unit} {share:+.2f}" for unit, share in zip(result.units, row, strict=True)
    )
    print(f"{token:>8}  {shares}")
