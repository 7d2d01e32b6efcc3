"""Models of ONNX files: the same explanations as the torch model that they were written from."""

import pickle

import numpy as np
import pytest
import torch
from onnx import TensorProto, helper
from onnx_files import write, write_columns, write_mlp
from torch import nn

import pyxai
from pyxai.adapters import from_onnx


@pytest.fixture(scope="module")
def net():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 3)).eval()


@pytest.fixture
def model(net, tmp_path):
    return from_onnx(write_mlp(tmp_path / "net.onnx", net))


@pytest.fixture(scope="module")
def inputs():
    return torch.randn(5, 4, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(
    ("method", "options"),
    [
        ("shapley_values", {}),
        ("kernel_shap", {"n_samples": 20}),
        ("lime", {}),
        ("feature_ablation", {"baselines": 0.5}),
        ("occlusion", {"sliding_window_shapes": (2,)}),
    ],
)
def test_explanations_are_those_of_the_torch_model(net, model, inputs, method, options):
    ours = pyxai.explain(model, inputs, method=method, target=1, **options)
    theirs = pyxai.explain(net, inputs, method=method, target=1, **options)
    torch.testing.assert_close(ours.attributions, theirs.attributions, rtol=0, atol=1e-6)
    torch.testing.assert_close(ours.outputs, theirs.outputs, rtol=0, atol=1e-6)


def test_the_only_output_of_fractions_is_explained(net, model, inputs, tmp_path):
    assert model.output == "scores"
    labels = from_onnx(model.path, output="label")
    assert labels(inputs).tolist() == net(inputs).argmax(1).tolist()
    with pytest.raises(ValueError, match="output must be one of 'label', 'scores', got 'score'"):
        from_onnx(model.path, output="score")


def test_one_of_several_outputs_must_be_chosen(tmp_path):
    nodes = [helper.make_node("Neg", ["x"], ["a"]), helper.make_node("Abs", ["x"], ["b"])]
    shape = ["n", 2]
    outputs = [("a", TensorProto.FLOAT, shape), ("b", TensorProto.FLOAT, shape)]
    path = write(tmp_path / "two.onnx", nodes, [("x", TensorProto.FLOAT, shape)], outputs)
    with pytest.raises(ValueError, match=r"one of 'a' \(tensor\(float\)\), 'b' .*, got none"):
        from_onnx(path)
    assert from_onnx(path, output="a")(torch.ones(1, 2)).tolist() == [[-1.0, -1.0]]


@pytest.mark.parametrize("rows", [1, 2, 5])
def test_models_of_a_fixed_number_of_rows(net, inputs, tmp_path, rows):
    fixed = from_onnx(write_mlp(tmp_path / "fixed.onnx", net, rows))
    torch.testing.assert_close(fixed(inputs), net(inputs).detach(), rtol=0, atol=1e-6)
    found = pyxai.explain(fixed, inputs[:3], method="shapley_values", target=0)
    expected = pyxai.explain(net, inputs[:3], method="shapley_values", target=0)
    torch.testing.assert_close(found.attributions, expected.attributions, rtol=0, atol=1e-6)


def test_one_input_for_each_column(tmp_path):
    model = from_onnx(write_columns(tmp_path / "columns.onnx"))
    given = torch.tensor([[1.0], [3.0]]), torch.tensor([[5], [7]])
    found = pyxai.explain(model, given, method="shapley_values")
    assert found.feature_names == ["a", "ids"]
    assert [part.tolist() for part in found.attributions] == [[[2.0], [6.0]], [[5.0], [7.0]]]
    with pytest.raises(TypeError, match=r"columns.onnx must be given 2 tensor\(s\), a, ids, got 1"):
        pyxai.explain(model, given[0], method="shapley_values")


def test_dtypes_are_kept_or_refused(net, model, inputs, tmp_path):
    """Arrays follow the model, as those of NumPy are float64; tensors are somebody's choice."""
    ours = pyxai.explain(model, inputs.double().numpy(), method="shapley_values", target=0)
    assert ours.inputs.dtype == torch.float32
    assert model(inputs.double()).tolist() == model(inputs).tolist()  # the same numbers
    with pytest.raises(TypeError, match=r"of torch.float32, .* got torch.float64 with others; giv"):
        model(inputs.double() / 3)
    assert model(torch.ones(1, 4, dtype=torch.int64)).tolist() == model(torch.ones(1, 4)).tolist()
    with pytest.raises(TypeError, match=r"numbers of torch\.float32"):
        model(torch.full((1, 4), 2**24 + 1))
    double = from_onnx(write_mlp(tmp_path / "double.onnx", net.double(), kind=TensorProto.DOUBLE))
    rows = inputs.double() / 3
    found = pyxai.explain(double, rows, method="shapley_values", target=0).attributions
    expected = pyxai.explain(net, rows, method="shapley_values", target=0).attributions
    net.float()
    assert found.dtype == torch.float64
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-14)


def test_gradients_are_refused_by_name(model, inputs):
    with pytest.raises(ValueError, match=r"net.onnx: scores, a black box .* 'shapley_values'"):
        pyxai.explain(model, inputs, method="saliency", target=0)
    with pytest.raises(TypeError, match=r"nn.Module, got a OnnxModel; for a function, use a meth"):
        pyxai.explain(model, inputs, method="lrp", target=0)


def test_refused_files(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"path must be an ONNX file, got '.*none.onnx'"):
        from_onnx(tmp_path / "none.onnx")
    (tmp_path / "words.onnx").write_text("words")
    with pytest.raises(ValueError, match="path must be a model that onnxruntime can run, got"):
        from_onnx(tmp_path / "words.onnx")
    nodes = [helper.make_node("Identity", ["x"], ["y"])]
    values = [("x", TensorProto.STRING, [1])], [("y", TensorProto.STRING, [1])]
    with pytest.raises(TypeError, match=r"model must take numbers, got 'x' \(tensor\(string\)\)"):
        from_onnx(write(tmp_path / "strings.onnx", nodes, *values))


def test_refused_shapes(model, inputs):
    with pytest.raises(ValueError, match=r"shape \[\*, 4\], as 'x' of net.onnx has, got \[5, 3\]"):
        pyxai.explain(model, inputs[:, :3], method="lime", target=0)


def test_other_processes_load_the_same_file(net, model, inputs):
    data = pickle.dumps(model)
    sent = pickle.loads(data)
    assert torch.equal(sent(inputs), model(inputs))
    assert list(sent.facts()) == list(model.facts())
    labels = from_onnx(model.path, output="label")
    assert list(labels.facts()) != list(model.facts())
    write_mlp(model.path, nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 3)))
    with pytest.raises(ValueError, match="must be the file that the model was made of"):
        pickle.loads(data)


def test_audits(model, inputs, tmp_path):
    """Arrays get the dtype of the model, as they do in a call."""
    data = inputs.double().numpy(), np.zeros(5)
    audited = pyxai.audit.audit(model, data, ["feature_ablation"], [], tmp_path / "out")
    assert audited.complete
    assert len(audited) == 5
