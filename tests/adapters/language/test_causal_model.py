"""Where a causal language model's ids have to be, and the type of its numbers."""

import pytest
import torch
from torch import nn

from pyxai.adapters.language.causal_model import CausalModel

META, CPU = torch.device("meta"), torch.device("cpu")


class Scores(nn.Module):
    """A head, made first, and an embedding, each on a device of its own."""

    def __init__(self, head=META, embedding=META, dtype=None):
        super().__init__()
        self.ids = nn.Parameter(torch.zeros(2, dtype=torch.int64, device=head), requires_grad=False)
        self.head = nn.Linear(2, 3, device=head, dtype=dtype)
        self.words = nn.Embedding(3, 2, device=embedding, dtype=dtype)

    def forward(self, input_ids):
        return self.head(self.words(input_ids))


class Named(Scores):
    def get_input_embeddings(self):
        return self.words


class Unsure(Scores):
    def get_input_embeddings(self):
        return None


@pytest.mark.parametrize(
    ("model", "device"),
    [
        (Named(head=META, embedding=CPU), CPU),
        (Named(head=CPU, embedding=META), META),
        (Scores(), META),
        (Unsure(), META),
        (lambda input_ids: input_ids, CPU),
    ],
)
def test_ids_are_where_the_embedding_is_or_else_the_model(model, device):
    assert CausalModel(model).device == device


@pytest.mark.parametrize(
    ("model", "dtype"),
    [
        (Scores(), torch.float32),
        (Scores(dtype=torch.bfloat16), torch.bfloat16),
        (lambda input_ids: input_ids, torch.float32),
    ],
)
def test_the_type_is_that_of_the_first_parameter_that_is_no_integer(model, dtype):
    assert CausalModel(model).dtype == dtype
