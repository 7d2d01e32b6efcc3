"""Every form of a data set gives the same examples under the same numbers."""

import random
from collections import Counter

import numpy as np
import pandas
import pyarrow
import pyarrow.parquet
import pytest
import torch
from audit_cases import Augmented, Rows, Stream, make_labels, make_net, make_rows
from PIL import Image
from torch.utils.data import DataLoader, Subset, TensorDataset, WeightedRandomSampler

from pyxai.audit import audit
from pyxai.audit.data import Like, open_source
from pyxai.audit.identity import digest_of_data

LIKE = Like(torch.float32, torch.device("cpu"))
ROWS, LABELS = make_rows(11), make_labels(11)


def frame():
    table = pandas.DataFrame(ROWS.double().numpy(), columns=list("abcdef"))
    return table.assign(y=LABELS.numpy())


def parquet(folder, parts=1):
    table, folder = pyarrow.Table.from_pandas(frame()), folder / str(parts)
    folder.mkdir()
    for part in range(parts):
        size = -(-len(table) // parts)
        pyarrow.parquet.write_table(
            table.slice(part * size, size), folder / f"{part}.parquet", row_group_size=4
        )
    return folder if parts > 1 else folder / "0.parquet"


def with_labels(folder):
    pairs = [(row, int(label)) for row, label in zip(ROWS, LABELS, strict=True)]
    return {
        "tensors": ((ROWS, LABELS), None),
        "arrays": ((ROWS.double().numpy(), LABELS.numpy()), None),
        "tensor data set": (TensorDataset(ROWS, LABELS), None),
        "data set": (Rows(ROWS, LABELS), None),
        "list": (pairs, None),
        "subset": (Subset(Rows(ROWS, LABELS), range(11)), None),
        "loader": (DataLoader(Rows(ROWS, LABELS), batch_size=4), None),
        "shuffled loader": (DataLoader(Rows(ROWS, LABELS), batch_size=4, shuffle=True), None),
        "loader of tensors": (DataLoader(TensorDataset(ROWS, LABELS)), None),
        "loader with its own batches": (DataLoader(pairs, batch_size=4, collate_fn=stack), None),
        "iterable": (Stream(pairs), None),
        "loader of an iterable": (DataLoader(Stream(pairs), batch_size=4), None),
        "table": (frame(), "y"),
        "parquet": (parquet(folder), "y"),
        "parquet folder": (parquet(folder, 3), "y"),
    }


def stack(items):
    rows, labels = zip(*items, strict=True)
    return torch.stack(rows), torch.tensor(labels)


FORMS = (
    *("tensors", "arrays", "tensor data set", "data set", "list", "subset", "loader"),
    *("shuffled loader", "loader of tensors", "loader with its own batches", "iterable"),
    *("loader of an iterable", "table", "parquet", "parquet folder"),
)


@pytest.mark.parametrize("form", FORMS)
def test_forms_agree(tmp_path, form):
    dataset, label = with_labels(tmp_path)[form]
    source = open_source(dataset, label, LIKE)
    assert len(source) == 11
    for start, stop in ((0, 11), (3, 7), (7, 8), (2, 5)):  # also backwards
        batch = source.read(start, stop, 0)
        assert batch.ids == list(range(start, stop))
        assert batch.bad == {}
        assert batch.labels.tolist() == LABELS[start:stop].tolist()
        torch.testing.assert_close(batch.inputs, (ROWS[start:stop],))


def test_forms_without_labels_agree():
    loader = DataLoader(Rows(ROWS), batch_size=4)
    for dataset in (ROWS, ROWS.numpy(), list(ROWS), Rows(ROWS), Stream(ROWS), frame().iloc[:, :6]):
        source = open_source(dataset, None, LIKE)
        assert np.isnan(source.read(1, 3, 0).labels).tolist() == [True, True]
        torch.testing.assert_close(source.read(1, 3, 0).inputs, (ROWS[1:3],))
    torch.testing.assert_close(open_source(loader, None, LIKE).read(9, 11, 0).inputs[0], ROWS[9:])


def test_one_other_number_is_another_data_set(tmp_path, pictures):
    rows, labels, table = ROWS.clone(), LABELS.clone(), frame()
    rows[6, 1] += 1e-3
    labels[6] = 2
    table.loc[6, "b"] += 1e-3
    table.to_parquet(tmp_path / "b.parquet")
    frame().to_parquet(tmp_path / "a.parquet")
    known = {digest((ROWS, LABELS)), digest((rows, LABELS)), digest((ROWS, labels))}
    known |= {digest(frame()), digest(table)}
    known |= {digest(tmp_path / "a.parquet"), digest(tmp_path / "b.parquet"), digest(pictures)}
    (pictures / "cat" / "1.png").rename(pictures / "cat" / "1b.png")
    known.add(digest(pictures))
    assert len(known) == 9
    assert digest((ROWS.clone(), LABELS.clone())) in known
    assert digest(ROWS.to(torch.bfloat16)) not in known


def digest(dataset):
    return digest_of_data(open_source(dataset, None, LIKE), 0)


def test_what_is_drawn_for_an_example_depends_on_its_number():
    source = open_source(Augmented(ROWS), None, LIKE)
    together, alone = source.read(0, 11, 3), source.read(6, 7, 3)
    assert together.inputs[0][6].equal(alone.inputs[0][0])
    assert not source.read(6, 7, 4).inputs[0].equal(alone.inputs[0])
    noise = together.inputs[0] - ROWS
    assert len({round(float(each), 6) for each in noise.flatten()}) == noise.numel()


DRAWS = {
    "torch": lambda: float(torch.randn(())),
    "numpy": lambda: float(np.random.normal()),  # noqa: NPY002 # of a pair one is kept for later
    "python": lambda: random.gauss(0, 1),
}


class Drawing:
    """Numbers with noise for those of some examples; it counts how often each is asked for."""

    def __init__(self, draw, drawing):
        self.draw, self.drawing, self.asked = draw, drawing, Counter()

    def __len__(self):
        return 11

    def __getitem__(self, number):
        self.asked[number] += 1
        noise = self.draw() if number in self.drawing else 0.0
        return torch.tensor([float(number), noise])


def drawn(draw, seed, number):
    word = int(np.random.SeedSequence((seed, number)).generate_state(1, np.uint64)[0])
    torch.manual_seed(word >> 1)
    np.random.seed(word >> 32)  # noqa: NPY002
    random.seed(word)
    return draw()


@pytest.mark.parametrize("size", [1, 4, 11])
@pytest.mark.parametrize("drawing", [range(11), [6], [3, 4, 10], []], ids=str)
@pytest.mark.parametrize("name", DRAWS)
def test_who_draws_has_the_states_seeded_by_number(name, drawing, size):
    draw = DRAWS[name]
    wanted = [drawn(draw, 5, number) if number in drawing else 0.0 for number in range(11)]
    source = open_source(Drawing(draw, drawing), None, LIKE)
    batches = [source.read(first, min(first + size, 11), 5) for first in range(0, 11, size)]
    found = torch.cat([batch.inputs[0] for batch in batches])
    torch.testing.assert_close(found[:, 1], torch.tensor(wanted), rtol=0, atol=0)


@pytest.mark.parametrize(("drawing", "most"), [(range(11), 1), ([], 1), ([6], 3)], ids=str)
def test_how_often_an_example_is_asked_for(drawing, most):
    items = Drawing(DRAWS["python"], drawing)
    source = open_source(items, None, LIKE)
    source.read(0, 1, 0)  # the first one tells the form
    items.asked.clear()
    for first in (0, 3, 6, 9):
        source.read(first, min(first + 3, 11), 0)
    assert set(items.asked) == set(range(11))
    assert max(items.asked.values()) == items.asked[6] == most


def test_a_look_at_a_state_does_not_depend_on_who_is_beside():
    """Also one that leaves no trace, as in ``torch.random.fork_rng``."""

    def peek():
        with torch.random.fork_rng(devices=[]):
            return float(torch.rand(()))

    class Peeking(Drawing):
        def __getitem__(self, number):
            return torch.cat([super().__getitem__(number), torch.tensor([peek()])])

    def read(size):
        source = open_source(Peeking(DRAWS["torch"], [4, 5]), None, LIKE)
        parts = [source.read(first, min(first + size, 11), 2) for first in range(0, 11, size)]
        return torch.cat([part.inputs[0] for part in parts])

    assert read(1).equal(read(4))
    assert read(4).equal(read(11))


def test_random_states_are_left_as_found():
    class Broken(Drawing):
        def __getitem__(self, number):
            raise MemoryError(super().__getitem__(number))

    def states():
        legacy = np.random.get_state()  # noqa: NPY002
        return [torch.get_rng_state().tolist(), list(map(str, legacy)), random.getstate()]

    DRAWS["numpy"](), DRAWS["python"](), DRAWS["torch"]()  # half of a pair is kept
    before = states()
    for draw in DRAWS.values():
        open_source(Drawing(draw, [6]), None, LIKE).read(0, 11, 1)
        with pytest.raises(MemoryError):
            open_source(Broken(draw, [0]), None, LIKE).read(0, 11, 1)
        assert states() == before


def test_an_iterable_that_draws_is_the_same_each_time():
    class Noisy(Stream):
        def __iter__(self):
            return (row + torch.rand(6) for row in self.rows)

    source = open_source(Noisy(ROWS), None, LIKE)
    state = torch.get_rng_state()
    first, again = source.read(2, 9, 1), source.read(2, 9, 1)
    assert first.inputs[0].equal(again.inputs[0])
    assert torch.get_rng_state().equal(state)


def test_an_iterable_is_gone_through_once_where_it_is_read_in_order():
    begun = []

    class Counted(Stream):
        def __iter__(self):
            begun.append(len(begun))
            return iter(self.rows)

    source = open_source(Counted(ROWS), None, LIKE)
    source.read(0, 4, 1)  # which also finds the form of a row
    begun.clear()
    found = [source.read(at, at + 3, 1).inputs[0] for at in (4, 7)]
    assert not begun
    assert torch.cat(found).equal(ROWS[4:10])
    source.read(2, 3, 1)
    assert len(begun) == 1


def test_rows_with_gaps_are_bad(tmp_path):
    table = frame()
    table.loc[4, "c"] = np.nan
    table.to_parquet(tmp_path / "a.parquet")
    for dataset in (table, tmp_path / "a.parquet"):
        batch = open_source(dataset, "y", LIKE).read(0, 11, 0)
        assert list(batch.bad) == [4]
        assert batch.ids == [0, 1, 2, 3, 5, 6, 7, 8, 9, 10]
        assert batch.labels.tolist() == [0, 1, 2, 0, 2, 0, 1, 2, 0, 1]


def test_examples_of_another_form_are_bad():
    rows = [*ROWS[:3], torch.zeros(5), "text", ROWS[5].double(), *ROWS[6:]]
    batch = open_source(rows, None, LIKE).read(2, 8, 0)
    assert batch.ids == [2, 6, 7]
    assert batch.bad[3] == ("ValueError: inputs must be float32 [6] as others are, got float32 [5]")
    assert batch.bad[4].startswith("TypeError: dataset must give a tensor or an array")
    assert "float64 [6]" in batch.bad[5]


@pytest.fixture
def pictures(tmp_path):
    tmp_path = tmp_path / "pictures"
    tmp_path.mkdir()
    generator = np.random.default_rng(0)
    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
        for number in range(3):
            pixels = generator.integers(0, 256, (5, 4, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / name / f"{number}.png")
    (tmp_path / "cat" / "notes.txt").write_text("not a picture")
    return tmp_path


def test_folders_of_pictures(pictures):
    source = open_source(str(pictures), None, LIKE)
    batch = source.read(0, 6, 0)
    assert (source.kind, len(source)) == ("images", 6)
    assert batch.labels.tolist() == [0, 0, 0, 1, 1, 1]
    assert batch.inputs[0].shape == (6, 3, 5, 4)
    pixels = np.asarray(Image.open(pictures / "dog" / "1.png"))
    torch.testing.assert_close(
        batch.inputs[0][4] * 255, torch.from_numpy(pixels.copy()).permute(2, 0, 1).float()
    )


def test_pictures_that_cannot_be_used_are_bad(pictures):
    (pictures / "cat" / "1.png").write_bytes(b"no picture")
    Image.new("RGB", (9, 9)).save(pictures / "dog" / "0.png")
    net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(60, 2))
    found = audit(net, pictures, "saliency", out=pictures / "out", reduce="abs_sum", target="label")
    assert found.rows().error.notna().tolist() == [False, True, False, True, False, False]
    assert "cannot identify image file" in found.rows().error[1]
    assert "float32 [3, 5, 4] as others are, got float32 [3, 9, 9]" in found.rows().error[3]
    assert found.maps("saliency").shape == (6, 5, 4)


@pytest.mark.parametrize(
    ("dataset", "error", "message"),
    [
        ({"x": ROWS}, TypeError, "dataset must be a data set"),
        (3, TypeError, "dataset must be a data set"),
        (iter(ROWS), TypeError, "gone through more than once"),
        (torch.zeros(0, 6), ValueError, "at least one example"),
        ([], ValueError, "at least one example"),
        ((ROWS, LABELS[:4]), ValueError, "one row for each example"),
        ("nowhere.parquet", FileNotFoundError, "which is not there"),
        (__file__, ValueError, "dataset must be a Parquet file"),
        (DataLoader(Rows(ROWS), batch_size=None), ValueError, "that makes batches"),
        (
            DataLoader(Rows(ROWS), sampler=WeightedRandomSampler([1.0] * 11, 11)),
            ValueError,
            "over each example once",
        ),
    ],
)
def test_what_is_no_data_set_is_refused(dataset, error, message):
    with pytest.raises(error, match=message):
        open_source(dataset, None, LIKE)


def test_labels_are_columns_of_numbers(tmp_path):
    with pytest.raises(ValueError, match="label must be a column"):
        open_source(frame(), "z", LIKE)
    with pytest.raises(ValueError, match="label must be a column"):
        open_source(parquet(tmp_path), "z", LIKE)
    with pytest.raises(TypeError, match="label must name a column of numbers"):
        open_source(frame().assign(y="word"), "y", LIKE)


def test_data_without_a_good_example_are_refused(tmp_path):
    with pytest.raises(ValueError, match="examples that can be explained, got none; the first: OS"):
        audit(make_net(), Rows(ROWS, unreadable=range(11)), "saliency", out=tmp_path)
