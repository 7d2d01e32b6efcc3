import json
import sys

import numpy as np
import pytest
import torch

import pyxai
from pyxai.explanation import Explanation


def sample(batch=3, features=(4,), **fields):
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(batch, *features, generator=generator)
    return Explanation(
        2 * x,
        x,
        **{"method": "by_hand", "baselines": 0.0, "target": [0, 1, 2][:batch], **fields},
    )


def assert_same(left, right):
    """Compare nested values that may hold tensors, types and all."""
    assert type(left) is type(right)
    if isinstance(left, torch.Tensor):
        assert left.dtype == right.dtype
        assert torch.equal(left, right)
    elif isinstance(left, (tuple, list)):
        assert len(left) == len(right)
        for one, other in zip(left, right, strict=True):
            assert_same(one, other)
    elif isinstance(left, dict):
        assert left.keys() == right.keys()
        for key in left:
            assert_same(left[key], right[key])
    else:
        assert left == right


def test_indexing_keeps_every_part_aligned():
    base = torch.arange(12.0).reshape(3, 4)
    whole = sample(
        baselines=base,
        convergence_delta=torch.arange(6.0),  # two draws for each example, example-major
        error=torch.arange(12.0).reshape(3, 4),
        outputs=torch.tensor([5.0, 6.0, 7.0]),
    )
    for part in (whole[1], whole[-2], whole[1:2], whole[[1]], whole[torch.tensor([1])]):
        assert len(part) == 1
        assert torch.equal(part.attributions, whole.attributions[1:2])
        assert torch.equal(part.inputs, whole.inputs[1:2])
        assert torch.equal(part.baselines, base[1:2])
        assert part.target == [1]
        assert part.convergence_delta.tolist() == [2.0, 3.0]
        assert torch.equal(part.error, whole.error[1:2])
        assert part.outputs.tolist() == [6.0]
    assert whole[torch.tensor([True, False, True])].target == [0, 2]
    assert [row.target for row in whole] == [[0], [1], [2]]


def test_indexing_leaves_what_all_examples_share():
    shared = torch.randn(4)
    assert torch.equal(sample(baselines=shared)[0].baselines, shared)
    assert torch.equal(sample(4, baselines=shared, target=7)[0].baselines, shared)
    one = torch.randn(1, 4)
    assert torch.equal(sample(baselines=one)[2].baselines, one)
    background = torch.randn(3, 4)
    kept = sample(baselines=background, shared_baselines=True)[0].baselines
    assert torch.equal(kept, background)
    assert sample(target=(1, 2))[0].target == (1, 2)
    assert sample(target=torch.tensor([4, 5, 6]))[1].target.tolist() == [5]


def test_tuples_of_inputs():
    x, y = torch.randn(2, 3), torch.randn(2, 2, 2)
    both = Explanation((x, y), (x, y), baselines=(0.0, y), feature_names=list("abcdefg"))
    part = both[1]
    assert [tuple(t.shape) for t in part.attributions] == [(1, 3), (1, 2, 2)]
    assert torch.equal(part.baselines[1], y[1:])
    assert part.baselines[0] == 0.0
    arrays = both.to_numpy()
    assert isinstance(arrays, tuple)
    assert arrays[1].shape == (2, 2, 2)
    values = torch.zeros(1, 3), torch.tensor([[[0.0, 0], [-9, 1]]])
    named = Explanation(values, values, feature_names=list("abcdefg"))
    assert named.top(2) == [("f", -9.0), ("g", 1.0)]
    plain = Explanation(values, values)
    assert plain.top(1) == [("input 1 feature [1, 0]", -9.0)]


def test_top_ranks_by_size_and_keeps_the_sign():
    values = torch.tensor([[1.0, -3.0, 2.0, 3.0]])
    assert Explanation(values, values).top(3) == [
        ("feature 1", -3.0),
        ("feature 3", 3.0),
        ("feature 2", 2.0),
    ]
    two = torch.tensor([[1.0, -3.0], [1.0, 5.0]])
    assert Explanation(two, two).top(1) == [("feature 1", 4.0)]


def test_print_tells_what_was_done():
    text = str(
        sample(
            feature_names=["width", "height", "depth", "mass"],
            options={"n_steps": 64, "rule": "midpoint", "mask": torch.zeros(3, 40)},
            convergence_delta=torch.tensor([1e-7, -0.25, 0.0]),
            error=torch.full((3, 4), 0.125),
            outputs=torch.tensor([1.5, 2.0, -3.25]),
        )
    )
    for part in (
        "Explanation by by_hand",
        "inputs       float32 [3, 4] on cpu",
        "baselines    0.0",
        "target       [0, 1, 2]",
        "n_steps      64",
        "rule         'midpoint'",
        "mask         float32 [3, 40]",
        "outputs      [1.5, 2, -3.25]",
        "delta        0.25 at most",
        "error        0.125 at most",
        "top 4 features by mean |attribution| over 3 examples",
        "width",
    ):
        assert part in text
    assert max(map(len, text.splitlines())) <= 96
    assert repr(sample()) == "<Explanation by by_hand: float32 [3, 4] on cpu>"
    assert "\n" not in repr(sample())


def test_print_of_an_empty_batch():
    assert "top" not in str(sample(batch=0, target=None))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16])
def test_file_gives_back_everything(tmp_path, dtype):
    x = torch.randn(3, 2, 4).to(dtype)
    options = {
        "n_steps": 64,
        "flags": (True, None, 1.5),
        "names": ["a", "b"],
        "mask": torch.arange(8).reshape(2, 4),
        "nested": {"seed": 3, "weights": (torch.ones(2), 0.5)},
    }
    written = Explanation(
        x.mul(2).transpose(1, 2).contiguous().transpose(1, 2),  # memory order of its own
        x,
        baselines=x,  # the same memory as the inputs
        target=[(0, 1), (1, 1), (2, 0)],
        method="by_hand",
        options=options,
        convergence_delta=torch.randn(3),
        feature_names=[f"f{i}" for i in range(8)],
    )
    path = written.save(tmp_path / "result.safetensors")
    assert [entry.name for entry in tmp_path.iterdir()] == ["result.safetensors"]
    read = Explanation.load(path)
    for name in Explanation.__dataclass_fields__:
        assert_same(getattr(read, name), getattr(written, name))


def test_file_is_safetensors_with_json(tmp_path):
    from safetensors import safe_open

    path = sample(options={"law": torch.relu}).save(tmp_path / "r.st")
    with safe_open(path, framework="pt") as file:
        assert sorted(file.keys()) == ["attributions", "inputs"]
        header = json.loads(file.metadata()["pyxai.explanation"])
    assert header["format"] == 1
    assert "relu" in Explanation.load(path).options["law"]


def test_files_that_are_not_explanations(tmp_path):
    from safetensors.torch import save_file

    with pytest.raises(FileNotFoundError, match="path must be the file of an explanation, got"):
        Explanation.load(tmp_path / "none")
    (tmp_path / "text").write_text("hello")
    with pytest.raises(ValueError, match="path must hold a safetensors file, got"):
        Explanation.load(tmp_path / "text")
    save_file({"x": torch.zeros(1)}, tmp_path / "other")
    with pytest.raises(ValueError, match=r"path must be written by Explanation\.save, got"):
        Explanation.load(tmp_path / "other")


def test_folders_that_are_not_there_and_arrays_that_run_backwards(tmp_path):
    with pytest.raises(FileNotFoundError, match="path must be in a folder that exists, got"):
        sample().save(tmp_path / "none" / "r.st")
    backwards = np.arange(3.0)[::-1]
    saved = sample(options={"x": backwards}).save(tmp_path / "r.st")
    assert Explanation.load(saved).options["x"].tolist() == [2.0, 1.0, 0.0]


def test_failed_save_leaves_nothing(tmp_path):
    broken = sample(options={"x": torch.zeros(3).to_sparse()})
    with pytest.raises(Exception, match=r"(?i)sparse|contiguous|storage"):
        broken.save(tmp_path / "r.st")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("module", "call", "message"),
    [
        ("shap", lambda e: e.to_shap(), 'to_shap needs shap; install it with: pip install "shap"$'),
        ("xarray", lambda e: e.to_xarray(), 'to_xarray needs xarray; .* pip install "xarray"$'),
        ("matplotlib.pyplot", lambda e: e.plot(), r'pip install "matplotlib", or .* "\.\[viz\]"$'),
    ],
)
def test_missing_packages_are_named(monkeypatch, module, call, message):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ImportError, match=message):
        call(sample())


def test_to_moves_tensors_everywhere():
    moved = sample(
        baselines=(torch.zeros(1, 4)), options={"mask": (torch.zeros(2), 1)}, target=None
    ).to("meta")
    assert moved.attributions.device.type == "meta"
    assert moved.baselines.device.type == "meta"
    assert moved.options["mask"][0].device.type == "meta"
    assert moved.options["mask"][1] == 1


def test_to_numpy_widens_16_bit_floats():
    x = torch.randn(2, 3).bfloat16()
    assert Explanation(x, x).to_numpy().dtype == np.float32
    assert Explanation(x.double(), x.double()).to_numpy().dtype == np.float64


@pytest.mark.filterwarnings("ignore")  # shap's own use of other packages
def test_to_shap_has_the_output_at_the_baseline():
    import shap  # here, as it takes seconds

    x = torch.tensor([[1.0, 2.0], [3.0, 4.0]], dtype=torch.float64)
    weight, bias = torch.tensor([2.0, -1.0], dtype=torch.float64), 0.5
    result = Explanation(
        weight * x + 0.01,  # misses completeness by 0.02
        x,
        outputs=x @ weight + bias,
        convergence_delta=torch.full((2,), 0.02, dtype=torch.float64),
        feature_names=["a", "b"],
    )
    shown = result.to_shap()
    assert isinstance(shown, shap.Explanation)
    np.testing.assert_allclose(shown.base_values, [bias, bias])
    np.testing.assert_array_equal(shown.values, result.to_numpy())
    np.testing.assert_array_equal(shown.data, x.numpy())
    assert list(shown.feature_names) == ["a", "b"]
    assert Explanation(x, x).to_shap().base_values is None
    with pytest.raises(ValueError, match="attributions must be a single tensor for shap, got"):
        Explanation((x,), (x,)).to_shap()


def test_to_xarray_names_the_dimensions():
    table = sample(feature_names=list("abcd"), outputs=torch.ones(3)).to_xarray()
    assert table["attributions"].dims == ("example", "feature")
    assert list(table["feature"].values) == list("abcd")
    assert table["outputs"].dims == ("example",)
    image = sample(features=(1, 2, 2)).to_xarray()
    assert image["inputs"].dims == ("example", "dim_1", "dim_2", "dim_3")
    x = torch.zeros(2, 3)
    pair = Explanation((x, x), (x, x)).to_xarray()
    assert set(pair.data_vars) == {"attributions_0", "attributions_1", "inputs_0", "inputs_1"}


def test_bad_parts_are_named():
    x = torch.zeros(2, 3)
    with pytest.raises(ValueError, match="attributions must have the form of inputs"):
        Explanation((x,), x)
    with pytest.raises(ValueError, match=r"attributions must have 2 tensor\(s\), as inputs do"):
        Explanation((x,), (x, x))
    with pytest.raises(TypeError, match="inputs must be a tensor, got 'x'"):
        Explanation(x, "x")
    with pytest.raises(ValueError, match=r"attributions must have a batch dimension, got shape"):
        Explanation(torch.tensor(1.0), x)
    with pytest.raises(ValueError, match="feature_names must have one name for each of 3 features"):
        Explanation(x, x, feature_names=["a"])
    with pytest.raises(IndexError, match=r"index must be within the 2 example\(s\), got 2"):
        Explanation(x, x)[2]
    with pytest.raises(TypeError, match="index must be an int, a slice or a list of rows, got 'a'"):
        Explanation(x, x)["a"]
    with pytest.raises(ValueError, match="one row per example to be indexed, got 1 row"):
        Explanation(x[:1], x)[0]
    with pytest.raises(ValueError, match=r"kind must be one of 'bar', .*, got 'pie'"):
        Explanation(x, x).plot("pie")


def test_rows_are_chosen_by_numpy_integers_too():
    values = torch.tensor([[1.0, -4.0], [3.0, 2.0]])
    made = Explanation(values, values)
    assert torch.equal(made[np.int64(1)].attributions, values[1:])
    assert torch.equal(made[np.int32(-2)].attributions, values[:1])
    with pytest.raises(IndexError, match="index must be within the 2 example"):
        made[np.int64(2)]
    with pytest.raises(TypeError, match="index must be an int"):
        made[True]


def test_a_negative_number_of_features_is_refused():
    made = Explanation(torch.ones(1, 3), torch.ones(1, 3))
    assert made.top(0) == []
    with pytest.raises(ValueError, match="n must be at least 0, got -1"):
        made.top(-1)


@pytest.mark.filterwarnings("ignore::PendingDeprecationWarning")  # shap's use of matplotlib
def test_all_outputs_fit_the_plots_of_shap():
    generator = torch.Generator().manual_seed(0)
    x, weight = (torch.randn(6, 3, generator=generator, dtype=torch.float64) for _ in range(2))
    x = x.T  # [3, 6]

    def model(z):
        return (z @ weight).tanh()

    result = pyxai.explain(model, x, method="shapley_values")
    made = result.to_shap()
    assert made.values.shape == (3, 6, 3)
    np.testing.assert_allclose(made.base_values, model(torch.zeros_like(x)), atol=1e-12)
    np.testing.assert_allclose(made.values.sum(1) + made.base_values, result.outputs, atol=1e-12)


@pytest.mark.filterwarnings("ignore::PendingDeprecationWarning")
@pytest.mark.parametrize("target", [1, None])
def test_the_base_value_for_shap_counts_each_player_once(target):
    net = torch.nn.Linear(4, 2).double()
    x = torch.arange(12.0, dtype=torch.float64).reshape(3, 4)
    mask = torch.tensor([[0, 0, 0, 1]])
    result = pyxai.explain(net, x, method="shapley_values", target=target, feature_mask=mask)
    bias = net.bias.detach()
    expected = bias.expand(3, 2) if target is None else bias[1].expand(3)
    np.testing.assert_allclose(result.to_shap().base_values, expected, atol=1e-10)


PLAYERS = torch.tensor([[3, 0, 3], [0, 8, 3]])  # of the 6 features of an example


def test_top_lists_each_player_once():
    values = torch.tensor([1.0, -5.0, 2.0])[torch.searchsorted(torch.tensor([0, 3, 8]), PLAYERS)]
    result = Explanation(
        values[None], torch.ones(1, 2, 3), method="by_hand", options={"feature_mask": PLAYERS[None]}
    )
    assert result.top() == [
        ("feature [0, 0] and 2 more", -5.0),
        ("feature [1, 1]", 2.0),
        ("feature [0, 1] and 1 more", 1.0),
    ]
    assert "top 3 features by attribution" in str(result)
    unequal = Explanation(  # not what a method makes of groups
        torch.arange(6.0).view(1, 2, 3), torch.ones(1, 2, 3), options={"feature_mask": PLAYERS}
    )
    assert len(unequal.top(9)) == 6


def test_top_lists_each_region_of_xrai_once():
    values = torch.tensor([[0.5, 0.5, -2.0], [0.5, 1.5, -2.0]]).expand(2, 3, 2, 3)
    result = Explanation(values, torch.ones(2, 3, 2, 3), method="xrai")
    assert result[0].top() == [
        ("feature [0, 0, 2] and 5 more", -2.0),
        ("feature [0, 1, 1] and 2 more", 1.5),
        ("feature [0, 0, 0] and 8 more", 0.5),
    ]
    assert [name for name, _ in result.top()] == [name for name, _ in result[0].top()]


def test_players_of_each_example_follow_it():
    masks = torch.stack([PLAYERS, torch.zeros_like(PLAYERS)])
    values = torch.stack([PLAYERS.float(), torch.full((2, 3), 7.0)])
    result = Explanation(values, torch.ones(2, 2, 3), options={"feature_mask": masks, "n": 2})
    assert result[1].top() == [("feature [0, 0] and 5 more", 7.0)]
    assert torch.equal(result[[1, 0]].options["feature_mask"], masks.flip(0))
    assert result[0].options["n"] == 2
    assert len(result.top(9)) == 3  # both examples together: what no mask tells apart
    listed = Explanation(values, torch.ones(2, 2, 3), options={"segments": [1, 2]})
    assert listed[1].options["segments"] == [2]


def test_files_have_the_permissions_of_new_files(tmp_path):
    (tmp_path / "new").touch()
    path = Explanation(torch.ones(1, 2), torch.ones(1, 2)).save(tmp_path / "e.safetensors")
    assert path.stat().st_mode == (tmp_path / "new").stat().st_mode


@pytest.mark.filterwarnings("ignore")  # shap's own use of other packages
def test_what_relevance_leaves_is_counted_once():
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.ReLU(), torch.nn.Linear(4, 2))
    x = torch.randn(5, 3)
    result = pyxai.explain(net.eval(), x, method="lrp", target=1)
    output = net(x)[:, 1].detach()
    torch.testing.assert_close(result.convergence_delta, result.attributions.sum(1) - output)
    np.testing.assert_allclose(result.to_shap().base_values, np.zeros(5), atol=1e-6)
