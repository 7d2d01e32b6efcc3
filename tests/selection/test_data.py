"""What a selection takes as data, and what going through it leaves alone."""

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from pyxai.selection import data, greedy_feature_selection
from pyxai.selection.data import DataSet

GENERATOR = torch.Generator().manual_seed(0)
X = torch.randn(30, 4, generator=GENERATOR, dtype=torch.float64)
Z = torch.randn(30, 2, generator=GENERATOR, dtype=torch.float64)
LABELS = (X[:, 1] - 2 * Z[:, 0] > 0).long()


def model(x, z):
    logit = x[:, 1] - 2 * z[:, 0]
    return torch.stack([-logit, logit], 1)


class TestRandomState:
    @pytest.mark.parametrize("shuffle", [False, True])
    def test_stays_as_it_was(self, shuffle):
        with torch.random.fork_rng():
            torch.manual_seed(1)
            net = nn.Linear(4, 2).double()
        loader = DataLoader(TensorDataset(X, LABELS), batch_size=7, shuffle=shuffle)
        before = torch.get_rng_state()
        greedy_feature_selection(net, loader)
        assert torch.equal(torch.get_rng_state(), before)

    def test_samples_of_a_shuffling_loader_repeat(self):
        loader = DataLoader(TensorDataset(X, LABELS), batch_size=7, shuffle=True)
        samples = []
        for seed in (1, 2):
            with torch.random.fork_rng():
                torch.manual_seed(seed)
                samples.append(DataSet(loader).sample(9, seed=0).gathered())
        assert torch.equal(samples[0].inputs[0], samples[1].inputs[0])

    def test_passes_shuffle_over_all_rows(self):
        loader = DataLoader(TensorDataset(X, LABELS), batch_size=7, shuffle=True)
        (rows,) = DataSet(loader).gathered().inputs
        assert not torch.equal(rows, X)
        assert torch.equal(rows.sort(0).values, X.sort(0).values)


FORMS = {
    "flat": (X, Z, LABELS),
    "loader": DataLoader(TensorDataset(X, Z, LABELS), batch_size=7),
    "list": [(X[:9], Z[:9], LABELS[:9]), (X[9:], Z[9:], LABELS[9:])],
}


@pytest.mark.parametrize("form", FORMS)
def test_several_inputs_may_lie_beside_the_labels(form):
    found = greedy_feature_selection(model, FORMS[form])
    expected = greedy_feature_selection(model, ((X, Z), LABELS))
    assert found.order[:2].tolist() == [4, 1]
    torch.testing.assert_close(found.scores, expected.scores)


@pytest.mark.parametrize(
    "data",
    [
        (X.numpy(), LABELS.numpy()),
        (X, LABELS.numpy()),
        [(X.numpy(), LABELS.numpy())],
        ((X.numpy(), Z.numpy()), LABELS),
    ],
)
def test_arrays_are_told_from_batches(data):
    with pytest.raises(TypeError, match=r"data must hold tensors, got a ndarray; torch.as"):
        greedy_feature_selection(model, data)


@pytest.mark.parametrize("loss", ["cross_entropy", "squared_error"])
def test_labels_made_in_inference_mode(loss):
    with torch.random.fork_rng():
        torch.manual_seed(1)
        net = nn.Linear(4, 2 if loss == "cross_entropy" else 1).double()
    labels = LABELS if loss == "cross_entropy" else X[:, 0]
    expected = greedy_feature_selection(net, (X, labels), loss=loss)
    with torch.inference_mode():
        found = greedy_feature_selection(net, (X.clone(), labels.clone()), loss=loss)
    assert torch.equal(found.order, expected.order)
    torch.testing.assert_close(found.scores, expected.scores)


def test_more_rows_than_there_are():
    with pytest.raises(ValueError, match="max_sample_size must be at most the 30 rows of data"):
        greedy_feature_selection(model, (X, Z, LABELS), sample_size=5, max_sample_size=31)


@pytest.mark.parametrize("size", [0, -1, 2.5])
def test_samples_have_rows(size):
    kind = TypeError if size == 2.5 else ValueError
    with pytest.raises(kind, match=rf"^sample_size must be .* got .*{size}"):
        greedy_feature_selection(model, (X, Z, LABELS), sample_size=size)


class TestPasses:
    def checks(self, monkeypatch, **options):
        """Return the rows of each check in a selection of all features."""
        seen, check = [], data.format_inputs

        def noted(inputs, **rest):
            found = check(inputs, **rest)
            seen.append(len(found[0][0]))
            return found

        monkeypatch.setattr(data, "format_inputs", noted)
        found = greedy_feature_selection(model, ((X, Z), LABELS), rounds=6, **options)
        assert len(found.order) == 6
        return seen

    def test_tensors_are_checked_once(self, monkeypatch):
        assert self.checks(monkeypatch) == [30]

    def test_samples_of_checked_rows_are_not_checked_again(self, monkeypatch):
        assert self.checks(monkeypatch, sample_size=4, max_sample_size=20) == [30]

    def test_embeddings_are_made_of_some_rows_at_a_time(self, monkeypatch):
        codes = torch.arange(30)
        seen = []

        def embed(rows):
            seen.append(len(rows))
            return X[rows], Z[rows]

        found = []
        for chunk in (2**16, 8):
            seen.clear()
            monkeypatch.setattr(data, "_CHUNK", chunk)
            found.append(greedy_feature_selection(model, (codes, LABELS), embed=embed))
            assert max(seen) == min(chunk, 30)
        plain = greedy_feature_selection(model, ((X, Z), LABELS))
        for each in found:
            assert torch.equal(each.order, plain.order)
            torch.testing.assert_close(each.scores, plain.scores)

    @pytest.mark.parametrize("count", [0, 23, 24, 25, 29, 31])
    def test_embedded_rows_without_labels_are_refused(self, monkeypatch, count):
        monkeypatch.setattr(data, "_CHUNK", 8)
        labels = torch.zeros(count).long()
        message = rf"labels must have one entry for each of 30 rows, got shape \[{count}\]"
        with pytest.raises(ValueError, match=message):
            list(DataSet((X, labels), embed=lambda rows: rows).batches())
        nothing = DataSet((X[:0], labels[:0]), embed=lambda rows: rows)
        with pytest.raises(ValueError, match="inputs must have at least one example"):
            list(nothing.batches())
