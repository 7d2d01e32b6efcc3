"""What goes into a file comes out of it, or is refused by name."""

import json
import pickle

import numpy as np
import pandas
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

import pyxai
from pyxai import Explanation
from pyxai._files import values, write_tensors
from pyxai.decomposition import ACD, Hierarchy
from pyxai.metrics import RealityChecks

X = torch.tensor([[1.0, 2.0], [3.0, 4.0]])


def keep(options, tmp_path, **fields):
    made = Explanation(X, X, options=options, **fields)
    return Explanation.load(made.save(tmp_path / "e"))


def same(left, right):
    if isinstance(left, torch.Tensor):
        return left.dtype == right.dtype and torch.equal(left, right)
    if isinstance(left, dict):
        keys = [(type(key), key) for key in left] == [(type(key), key) for key in right]
        return keys and all(same(left[key], right[key]) for key in left)
    if isinstance(left, (tuple, list)):
        return len(left) == len(right) and all(map(same, left, right))
    return type(left) is type(right) and (left == right or left != left)


def test_names_inside_a_file_never_collide(tmp_path):
    one, two, three = torch.zeros(1), torch.ones(2), torch.full((3,), 2.0)
    for options in (
        {"a.b": one, "a": {"b": two}},
        {"d": {1: one, "1": two}},
        {"d": {0: one, "0": two, "False": three}},
        {"d": {(1, "x"): one, None: two, 2.5: three}},
        {"a": [one], "a.0": two, "a.0#2": three},
        {"a.value": one, "a": {"value": two}},
    ):
        assert same(keep(options, tmp_path).options, options)


def test_options_of_all_kinds_are_kept(tmp_path):
    complex_numbers = torch.tensor([1 + 2j, 3 - 1j])
    options = {
        "complex": complex_numbers,
        "conjugated": complex_numbers.conj(),
        "negated": complex_numbers.conj().imag,
        "one": torch.tensor(2.0),
        "complex one": torch.tensor(2 - 1j, dtype=torch.complex128),
        "number": 1 - 2j,
        "empty": torch.zeros(0, 3),
        "half": torch.ones(2, dtype=torch.float16),
        "flags": torch.tensor([True, False]),
        "infinite": float("inf"),
        "large": 2**80,
    }
    found = keep(options, tmp_path).options
    plain = {
        k: v.resolve_conj().resolve_neg() if k in ("conjugated", "negated") else v
        for k, v in options.items()
    }
    assert same(found, plain)
    arrays = {
        "one": np.array(2.5),
        "foreign": np.arange(3, dtype=">i4"),
        "backwards": np.arange(3.0)[::-1],
        "complex": np.array([1j]),
        "text": np.str_("a"),
        "number": np.float32(0.5),
        "flag": np.bool_(True),
    }
    found = keep(arrays, tmp_path).options
    assert found["one"].shape == ()
    assert found["foreign"].tolist() == [0, 1, 2]
    assert found["backwards"].tolist() == [2.0, 1.0, 0.0]
    assert found["complex"].tolist() == [1j]
    assert (found["text"], found["number"], found["flag"]) == ("a", 0.5, True)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.int32, torch.bool])
@pytest.mark.parametrize("pick", [(0, 1), (slice(1), 1), (slice(1), slice(1)), (slice(0), 1), ...])
def test_numbers_are_kept_however_they_lie_in_memory(tmp_path, pick, dtype):
    lying = (torch.arange(6).view(2, 3) % 2).to(dtype).T[pick]  # one number may have any stride
    loaded = keep({"a": lying}, tmp_path).options["a"]
    assert loaded.dtype == dtype
    assert torch.equal(loaded, lying)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (torch.ones(2, 2).to_sparse(), r"options\.x must be a dense tensor .*sparse_coo one"),
        (
            lambda: torch.quantize_per_tensor(torch.ones(2), 0.1, 0, torch.qint8),
            r"options\.x must be a dense tensor of numbers to be saved, got a quantised one",
        ),
        (torch.ones(2, device="meta"), r"options\.x must be a dense tensor .*, got a meta one"),
        (np.array(["a"]), r"options\.x must be an array of numbers to be saved, got dtype <U1"),
        (np.array([{}]), r"options\.x must be an array of numbers to be saved, got dtype object"),
    ],
)
@pytest.mark.filterwarnings("ignore:.*quantize:DeprecationWarning")
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_what_files_cannot_hold_is_refused_by_name(tmp_path, value, message):
    value = value() if callable(value) else value
    with pytest.raises(TypeError, match=message):
        keep({"x": value}, tmp_path)
    with pytest.raises(TypeError, match=message.replace("x must", "x.1.y must")):
        keep({"x": [0, {"y": value}]}, tmp_path)
    assert list(tmp_path.iterdir()) == []


NAMED = {
    "dict keys": {"width": 1, "height": 2}.keys(),
    "array": np.array(["width", "height"]),
    "tuple": (np.str_("width"), "height"),
}


@pytest.mark.parametrize("names", NAMED.values(), ids=NAMED)
def test_names_of_features_are_strings_from_the_start(tmp_path, names):
    found = keep({}, tmp_path, feature_names=names)
    made = Explanation(X, X, feature_names=names)
    for each in (made, found):
        assert each.feature_names == ["width", "height"]
        assert all(type(name) is str for name in each.feature_names)
    explained = pyxai.explain(torch.nn.Linear(2, 1), X, method="saliency", feature_names=names)
    assert explained.feature_names == ["width", "height"]


def test_columns_and_ranges_are_names(tmp_path):
    columns = pandas.DataFrame({"width": [1.0], "height": [2.0]}).columns
    assert keep({}, tmp_path, feature_names=columns).feature_names == ["width", "height"]
    assert keep({}, tmp_path, feature_names=range(2)).feature_names == ["0", "1"]
    below = pandas.MultiIndex.from_tuples([("size", "width"), ("size", "height")])
    assert Explanation(X, X, feature_names=below).feature_names[0] == "('size', 'width')"
    for names in ("ab", {"a", "b"}, 3):
        with pytest.raises(TypeError, match="feature_names must be a sequence of names, got"):
            Explanation(X, X, feature_names=names)


HEADER = {"format": 1, "fields": {"dict": []}}


def fields_of(**changes):
    """Return the header of a file with some fields changed, as JSON says them."""
    plain = {
        "attributions": {"tensor": "a"},
        "inputs": {"tensor": "a"},
        "baselines": 0.0,
        "target": 1,
        "method": "by_hand",
        "options": {"dict": []},
        "convergence_delta": None,
        "error": None,
        "outputs": None,
        "feature_names": None,
        "shared_baselines": False,
    }
    return {"format": 1, "fields": {"dict": [list(pair) for pair in (plain | changes).items()]}}


def load(header, path, kind="explanation"):
    save_file({"a": X, "b": torch.ones(3)}, path, metadata={f"pyxai.{kind}": json.dumps(header)})
    return Explanation.load(path)


MALFORMED = {
    "options": 5,
    "convergence_delta": "x",
    "error": {"tensor": "b"},
    "outputs": 1.0,
    "method": 3,
    "feature_names": {"list": ["a"]},
    "attributions": {"tensor": "none"},
    "inputs": {"tuple": []},
    "shared_baselines": "yes",
    "of_layer": 1,
    "baselines": {"dict": []},
    "target": {"text": 3},
    "unknown": 1,
}


def test_a_plain_header_is_read(tmp_path):
    assert torch.equal(load(fields_of(), tmp_path / "e").attributions, X)


@pytest.mark.parametrize("field", MALFORMED)
def test_malformed_fields_are_refused_at_the_door(field, tmp_path):
    path = tmp_path / "e"
    with pytest.raises(ValueError, match=r"path must hold a whole file, got .*e': ") as caught:
        load(fields_of(**{field: MALFORMED[field]}), path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    "header",
    [
        5,
        [],
        "text",
        {},
        {"format": 1},
        {"format": 2, "fields": {"dict": []}},
        {"format": "1", "fields": {"dict": []}},
        {"format": True, "fields": {"dict": []}},
        {"format": 1, "fields": 5},
        {"format": 1, "fields": {}},
        {"format": 1, "fields": {"dict": 5}},
        {"format": 1, "fields": {"dict": [[1]]}},
        {"format": 1, "fields": {"dict": [[{"list": []}, 1]]}},
        {"format": 1, "fields": {"dict": [["a", {"tensor": ["a"]}]]}},
        {"format": 1, "fields": {"dict": [["a", {"x": 1, "y": 2}]]}},
        {"format": 1, "fields": {"dict": [["a", {"complex": [1]}]]}},
        {"format": 1, "fields": {"list": [1]}},
        {"format": 1, "fields": {"shared": 1}},
        {"format": 1, "fields": {"dict": [[1, 2]]}},
    ],
)
def test_malformed_headers_are_refused(header, tmp_path):
    with pytest.raises(ValueError, match="path must"):
        load(header, tmp_path / "e")


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-3, 3)
    | st.floats(allow_nan=True)
    | st.sampled_from(["a", "b", "", "x"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "tensor",
                    "complex tensor",
                    "dict",
                    "list",
                    "tuple",
                    "complex",
                    "shared",
                    "text",
                    "a",
                ]
            ),
            inner,
            max_size=2,
        )
    ),
    max_leaves=8,
)


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(field=st.sampled_from(sorted(Explanation.__dataclass_fields__)), value=json_values)
def test_any_field_is_read_or_refused(field, value, tmp_path):
    try:
        found = load(fields_of(**{field: value}), tmp_path / "e")
    except ValueError as refused:
        names = str(tmp_path / "e") in str(refused)
        assert names
        return
    str(found), found[0], repr(found), found.to_numpy(), found.top()
    found.save(tmp_path / "again")


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_flipped_bytes_are_refused(data, tmp_path):
    path = tmp_path / "e"
    if not path.exists():
        pyxai.explain(torch.nn.Linear(2, 1), X, method="integrated_gradients").save(path)
    whole = path.read_bytes()
    place = data.draw(st.integers(0, len(whole) - 1))
    flipped = bytearray(whole)
    flipped[place] ^= data.draw(st.integers(1, 255))
    other = tmp_path / "flipped"
    other.write_bytes(flipped)
    try:
        found = Explanation.load(other)
    except ValueError as refused:
        names = str(other) in str(refused)
        assert names
        return
    # What the byte meant nothing for: the name of the checksum, a blank.
    assert torch.equal(found.attributions, Explanation.load(path).attributions)
    assert str(found) == str(Explanation.load(path))


@pytest.mark.parametrize("cut", [0, 4, 8, 100, -1])
def test_cut_files_are_refused(cut, tmp_path):
    path = Explanation(X, X).save(tmp_path / "e")
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(ValueError, match="path must hold a safetensors file, got"):
        Explanation.load(path)


def test_a_tensor_that_was_changed_is_noticed(tmp_path):
    path = Explanation(X, X).save(tmp_path / "e")
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(ValueError, match="its content is not that of its checksum"):
        Explanation.load(path)


def hierarchy(path):
    def scorer(inputs, groups, target, arguments):
        return groups.flatten(2).double().sum(-1)

    return ACD(None, scorer=scorer).agglomerate(torch.ones(1, 3))[0].save(path)


def checks(path):
    return pyxai.metrics.reality_checks(
        torch.nn.Linear(2, 2), X, target=0, method="input_x_gradient"
    ).save(path)


OTHERS = {
    "hierarchy": (hierarchy, Hierarchy.load),
    "checks": (checks, RealityChecks.load),
    "imputer": (lambda path: pyxai.imputers.Constant(1.0).save(path), pyxai.imputers.Imputer.load),
}


@pytest.mark.parametrize("kind", OTHERS)
@pytest.mark.filterwarnings("ignore")
def test_malformed_files_of_other_kinds_are_refused(kind, tmp_path):
    write, read = OTHERS[kind]
    path = write(tmp_path / "whole")
    read(path)
    length = int.from_bytes(path.read_bytes()[:8], "little")
    header = json.loads(path.read_bytes()[8 : 8 + length])["__metadata__"][f"pyxai.{kind}"]
    header = json.loads(header)
    pairs = header["fields"]["dict"]
    malformed = [{**header, "fields": {"dict": []}}, {**header, "fields": 5}]
    if kind != "imputer":
        for at, (name, _) in enumerate(pairs):
            wrong = {"tuple": [{"dict": [["a", {"complex": [0, 1]}]]}]}
            changed = [*pairs[:at], [name, wrong], *pairs[at + 1 :]]
            malformed.append({**header, "fields": {"dict": changed}})
    else:
        malformed.append({**header, "fields": {"dict": [["check", 1]]}})
        malformed = malformed[1:]
    for each in malformed:
        write_tensors(tmp_path / "e", {}, kind=kind, header=each)
        with pytest.raises(ValueError, match="path must hold") as caught:
            read(tmp_path / "e")
        assert str(tmp_path / "e") in str(caught.value)


def test_no_pickle_is_read(tmp_path):
    (tmp_path / "e").write_bytes(pickle.dumps(X))
    with pytest.raises(ValueError, match="path must hold a safetensors file"):
        Explanation.load(tmp_path / "e")


@pytest.mark.parametrize("wrong", [[1], ["tuple"], [], {}, {"tuple": [], "list": []}])
def test_what_is_no_encoded_value_is_refused(wrong):
    def other(kind, content):
        raise AssertionError("nothing of another kind was written")

    with pytest.raises(ValueError, match="a value must be plain or have one kind, got"):
        values.decode(wrong, {}, other)


@pytest.mark.parametrize("length", range(8))
def test_what_follows_the_header_stands_at_a_multiple_of_eight(tmp_path, length):
    # As the format asks for, so that readers may map a file as numbers of any width.
    path = tmp_path / "e"
    write_tensors(path, {"x": torch.ones(1)}, kind="test", header="a" * length)
    raw = path.read_bytes()
    size = int.from_bytes(raw[:8], "little")
    assert size % 8 == 0
    assert np.frombuffer(raw[8 + size :], np.float32).tolist() == [1.0]
