"""What does a phrase add? A hierarchy of phrases for a sentence with a "not" in it.

A small LSTM is trained on sentences that are made here: words of praise and of complaint, which a
"not" turns around. Run it with ``python examples/phrase.py``; it takes seconds.
"""

from __future__ import annotations

import torch

from pyxai.attribution import IntegratedGradients
from pyxai.decomposition import ACD, ContextualDecomposition

GOOD, BAD = ["good", "fine", "great"], ["bad", "dull", "poor"]
FILLER = ["the", "film", "was", "really", "a", "and"]
WORDS = ["not", *GOOD, *BAD, *FILLER]
LENGTH = 6


def sentence(generator: torch.Generator) -> tuple[list[int], int]:
    """Return six words and whether they praise."""

    def draw(n: int) -> int:
        return int(torch.randint(n, (), generator=generator))

    words = [FILLER[draw(len(FILLER))] for _ in range(LENGTH)]
    praise, negated = draw(2), draw(2)
    place = 1 + draw(LENGTH - 1)
    words[place] = (GOOD if praise else BAD)[draw(3)]
    if negated:
        words[place - 1] = "not"
    return [WORDS.index(word) for word in words], praise ^ negated


class Reader(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.words = torch.nn.Embedding(len(WORDS), 16)
        self.lstm = torch.nn.LSTM(16, 32, batch_first=True)
        self.head = torch.nn.Linear(32, 2)

    def forward(self, words: torch.Tensor) -> torch.Tensor:  # [batch, words]
        return self.head(self.lstm(self.words(words))[0][:, -1])


torch.manual_seed(0)
generator = torch.Generator().manual_seed(0)
made = [sentence(generator) for _ in range(3000)]
words = torch.tensor([each for each, _ in made])
labels = torch.tensor([label for _, label in made])
reader = Reader()
optimiser = torch.optim.Adam(reader.parameters(), lr=1e-2)
for start in range(0, 2 * 2500, 100):
    chosen = torch.arange(start, start + 100) % 2500
    optimiser.zero_grad()
    torch.nn.functional.cross_entropy(reader(words[chosen]), labels[chosen]).backward()
    optimiser.step()
reader.eval()
right = (reader(words[2500:]).argmax(1) == labels[2500:]).float().mean()
print(f"right: {right:.3f} of 500 sentences\n")

text = ["the", "film", "was", "really", "not", "bad"]
tokens = torch.tensor([[WORDS.index(word) for word in text]])

# Single words, each by itself.
groups = torch.eye(LENGTH, dtype=torch.bool)[None]
cd = ContextualDecomposition(reader)
praise = cd.scores(tokens, groups, target=1) - cd.scores(tokens, groups, target=0)
for word, score in zip(text, praise[0].tolist(), strict=True):
    print(f"{score:8.2f}  {word}")

# Phrases: what words do together, which neither does alone.
[tree] = ACD(reader, subtract=True).agglomerate(tokens, 1, names=text)
print(f"\n{tree}")

# Gradients need numbers in the place of words: the embedded sentence is the input.
embedded = reader.words(tokens).detach()
explainer = IntegratedGradients(lambda x: reader.head(reader.lstm(x)[0][:, -1]))
scores = explainer.attribute(embedded, target=1).sum(2)[0]
print("\nintegrated gradients of the embedded words:", [round(a, 2) for a in scores.tolist()])
