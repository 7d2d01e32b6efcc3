"""Small ONNX files, written node by node."""

from __future__ import annotations

import onnx
from onnx import TensorProto, helper, numpy_helper


def write(path, nodes, inputs, outputs, constants=()):
    """Write a graph; inputs and outputs are (name, kind, shape)."""
    values = [
        [helper.make_tensor_value_info(name, kind, shape) for name, kind, shape in part]
        for part in (inputs, outputs)
    ]
    weights = [
        numpy_helper.from_array(value.detach().numpy().copy(), name) for name, value in constants
    ]
    graph = helper.make_graph(nodes, "graph", *values, weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(model)
    onnx.save(model, str(path))
    return path


def write_mlp(path, net, rows="rows", kind=TensorProto.FLOAT):
    """Write Linear, Tanh, Linear with an output of labels beside that of numbers."""
    first, _, last = net
    nodes = [
        helper.make_node("Gemm", ["x", "w0", "b0"], ["h"], transB=1),
        helper.make_node("Tanh", ["h"], ["t"]),
        helper.make_node("Gemm", ["t", "w1", "b1"], ["scores"], transB=1),
        helper.make_node("ArgMax", ["scores"], ["label"], axis=1, keepdims=0),
    ]
    constants = [
        *(("w0", first.weight), ("b0", first.bias), ("w1", last.weight), ("b1", last.bias)),
    ]
    return write(
        path,
        nodes,
        [("x", kind, [rows, first.in_features])],
        [("label", TensorProto.INT64, [rows]), ("scores", kind, [rows, last.out_features])],
        constants,
    )


def write_columns(path):
    """Write 2 a + ids, with one input for each column, ids being whole numbers."""
    nodes = [
        helper.make_node("Cast", ["ids"], ["numbers"], to=TensorProto.FLOAT),
        helper.make_node("Add", ["a", "a"], ["twice"]),
        helper.make_node("Add", ["twice", "numbers"], ["y"]),
    ]
    inputs = [("a", TensorProto.FLOAT, ["n", 1]), ("ids", TensorProto.INT64, ["n", 1])]
    return write(path, nodes, inputs, [("y", TensorProto.FLOAT, ["n", 1])])
