"""For each op which window of its map changes, and how it is computed: one rule per family.

A rule takes a node and a `Layout` of what its operands are and returns a `Step`, or None where it
knows no window; whole maps go on from there.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from pyxai.propagation.multipliers.rescale import BINARY, ELEMENTWISE
from pyxai.propagation.windows.spans import Frame, Region, Stretch, union
from pyxai.tracing import Node, RuleTable, Run
from pyxai.tracing.interpreter import invoke
from pyxai.tracing.nodes import op_names, substitute

__all__ = ["WINDOWS", "Layout", "Step", "under_kernel"]

Compute = Callable[[Sequence[Tensor], Run], Tensor]

_POINTWISE = (
    (ELEMENTWISE - {"bucketize", "searchsorted"})
    | BINARY
    | op_names(
        """_to_copy add alias clone contiguous detach isfinite isinf isnan lerp lift_fresh_copy
    masked_fill mul neg rsub square sub where"""
    )
)

WINDOWS = RuleTable("windows")


@dataclass(frozen=True)
class Layout:
    """What is known of the values before a node.

    Attributes
    ----------
    frames : dict of Node to Frame
        Windows of the values of which only a window changes.
    shapes : dict of Node to tuple of int
        Shapes of all tensors for one example.
    """

    frames: Mapping[Node, Frame]
    shapes: Mapping[Node, tuple[int, ...]]

    def sizes(self, node: Node) -> tuple[int, ...]:
        """Return the shape of a map [1, channels, rows, columns], the first of an op's values."""
        found = self.shapes.get(node)
        if found is None:
            found = next((self.shapes[user] for user in node.users if user in self.shapes), ())
        return found

    def is_map(self, value: Any) -> bool:
        """Whether a value is a map of which only windows change."""
        return isinstance(value, Node) and value in self.frames


@dataclass(frozen=True)
class Step:
    """How the windows of a node are computed.

    Attributes
    ----------
    node : Node
    frame : Frame
        Where they are.
    regions : tuple of Region
        What is read.
    compute : callable
        From the values of the regions, and the values that do not change, to the windows.
    work : float
        Multiplications for each place of the map.
    """

    node: Node
    frame: Frame
    regions: tuple[Region, ...]
    compute: Compute
    work: float = 0.0


def pair(value: Any, default: tuple[int, int] | None = None) -> tuple[int, int]:
    """Return sizes for rows and columns, where one or none may be given."""
    values = list(value) if isinstance(value, (list, tuple)) else [value]
    if not values and default is not None:
        return default
    return int(values[0]), int(values[-1])


def applied(node: Node, known: Mapping[Node, Any], constants: Run, **given: Any) -> Any:
    """Run an op on windows in place of maps."""

    def lookup(operand: Node) -> Any:
        return known[operand] if operand in known else constants[operand]

    return invoke(
        node,
        {
            name: given[name] if name in given else substitute(value, lookup)
            for name, value in node.args.items()
        },
    )


@WINDOWS.register("convolution")
def convolution(node: Node, layout: Layout) -> Step | None:
    """Read what the kernels see: the window, and a margin of the map as it is."""
    args = node.args
    source, weight = args["input"], layout.shapes[args["weight"]]
    if args["transposed"] or node.dependents() != ("input",) or len(weight) != 4:
        return None
    sliding = tuple(
        zip(weight[2:], *(pair(args[n]) for n in ("stride", "padding", "dilation")), strict=True)
    )
    found = under_kernel(node, source, layout, sliding)
    if found is None:
        return None
    frame, region = found

    def compute(read: Sequence[Tensor], constants: Run) -> Tensor:
        result: Tensor = applied(node, {}, constants, input=read[0], padding=[0, 0])
        return result

    return Step(node, frame, (region,), compute, float(math.prod(weight)))


def under_kernel(
    node: Node,
    source: Node,
    layout: Layout,
    sliding: Sequence[tuple[int, int, int, int]],  # kernel, stride, padding, dilation of each axis
    fill: float = 0.0,
) -> tuple[Frame, Region] | None:
    """Return the window of an op that slides a kernel over a map, and what it reads."""
    shape, sizes = layout.sizes(node), layout.sizes(source)
    if len(shape) != 4 or len(sizes) != 4:
        return None
    spans = [
        span.slid(*each, length)
        for span, each, length in zip(layout.frames[source], sliding, shape[2:], strict=True)
    ]
    stretches = [
        Stretch.under(span, length, *each)
        for span, length, each in zip(spans, sizes[2:], sliding, strict=True)
    ]
    return Frame(*spans), Region(source, stretches[0], stretches[1], fill)


@WINDOWS.register(*_POINTWISE)
def pointwise(node: Node, layout: Layout) -> Step | None:
    """Compute each place from the same place of all operands, maps or not."""
    return _at_the_same_places(node, layout, list(node.operands()))


@WINDOWS.register("max_pool2d_with_indices")
def max_pool(node: Node, layout: Layout) -> Step | None:
    """Read what the kernels see; around the map is nothing that is the largest."""
    args = node.args
    if any(user.op != "getitem" or user.args["1"] != 0 for user in node.users):
        return None  # where the largest is counts from the corner of the map
    kernel = pair(args["kernel_size"])
    stride, dilation = pair(args["stride"], kernel), pair(args["dilation"])
    sliding = tuple(zip(kernel, stride, pair(args["padding"]), dilation, strict=True))
    found = under_kernel(node, args["self"], layout, sliding, -math.inf)
    if found is None:
        return None

    def compute(read: Sequence[Tensor], _: Run) -> Tensor:
        return torch.max_pool2d(read[0], kernel, stride, 0, dilation)

    return Step(
        node, found[0], found[1:], compute, float(math.prod(kernel) * layout.sizes(node)[1])
    )


@WINDOWS.register("avg_pool2d")
def avg_pool(node: Node, layout: Layout) -> Step | None:
    """Read what the kernels see, where all of them divide by the same number."""
    args, source = node.args, node.args["self"]
    kernel = pair(args["kernel_size"])
    stride = pair(args["stride"], kernel)
    sliding = tuple(zip(kernel, stride, pair(args["padding"]), (1, 1), strict=True))
    found = under_kernel(node, source, layout, sliding)
    if found is None:
        return None
    divisor = args["divisor_override"]
    if divisor is None:
        lengths = zip(layout.sizes(source)[2:], layout.sizes(node)[2:], sliding, strict=True)
        counts = [_seen(*each, bool(args["count_include_pad"])) for each in lengths]
        if any((each != each[0]).any() for each in counts):
            return None
        divisor = int(counts[0][0] * counts[1][0])

    def compute(read: Sequence[Tensor], _: Run) -> Tensor:
        return F.avg_pool2d(read[0], kernel, stride, divisor_override=divisor)

    return Step(
        node, found[0], found[1:], compute, float(math.prod(kernel) * layout.sizes(node)[1])
    )


def _seen(
    length: int, out: int, sliding: tuple[int, int, int, int], with_padding: bool
) -> np.ndarray[Any, Any]:
    """Return how many places each position of a kernel along an axis divides by."""
    kernel, stride, padding, _ = sliding
    start = np.arange(out) * stride - padding
    end = (start + kernel).clip(max=length + padding)
    if not with_padding:
        start, end = start.clip(0), end.clip(max=length)
    return end - start


@WINDOWS.register("_native_batch_norm_legit_no_training", "prelu")
def by_channel(node: Node, layout: Layout) -> Step | None:
    """Compute each place from the same place of one map, with numbers for each channel."""
    names = node.dependents()
    if names not in (("input",), ("self",)):
        return None
    return _at_the_same_places(node, layout, [node.args[names[0]]])


@WINDOWS.register("getitem")
def first_value(node: Node, layout: Layout) -> Step | None:
    """Take the only value of an op that is a map."""
    source = node.args["0"]
    if not isinstance(source, Node) or node.args["1"] != 0:
        return None
    frame = layout.frames[source]
    region = Region(source, Stretch.of(frame.rows), Stretch.of(frame.columns))
    return Step(node, frame, (region,), lambda read, _: read[0])


@WINDOWS.register("cat")
def concatenation(node: Node, layout: Layout) -> Step | None:
    """Join maps along their channels."""
    tensors = node.args["tensors"]
    if node.args["dim"] not in (1, -3) or any(len(layout.sizes(each)) != 4 for each in tensors):
        return None
    return _at_the_same_places(node, layout, tensors)


@WINDOWS.register("constant_pad_nd")
def padding(node: Node, layout: Layout) -> Step | None:
    """Move the window; what lies around the map does not change."""
    source, pads, fill = (node.args[name] for name in ("self", "pad", "value"))
    if len(pads) > 4 or any(not isinstance(pad, int) or pad < 0 for pad in pads):
        return None
    left, right, above, below = (*pads, 0, 0)[:4]
    rows, columns = layout.frames[source]
    frame = Frame(
        rows.shifted(above, rows.length + above + below),
        columns.shifted(left, columns.length + left + right),
    )
    region = Region(
        source,
        Stretch(frame.rows.start, frame.rows.size, above, below),
        Stretch(frame.columns.start, frame.columns.size, left, right),
        float(fill),
    )
    return Step(node, frame, (region,), lambda read, _: read[0])


def _at_the_same_places(node: Node, layout: Layout, operands: Sequence[Node]) -> Step | None:
    """Bring all maps among the operands to one window, and run the op on that."""
    shape = layout.sizes(node)
    maps = [each for each in operands if layout.is_map(each)]
    if len(shape) != 4 or shape[0] != 1:
        return None
    if any(len(layout.sizes(each)) != 4 or layout.sizes(each)[2:] != shape[2:] for each in maps):
        return None
    frames = [layout.frames[each] for each in maps]
    frame = Frame(*(union(spans) for spans in zip(*frames, strict=True)))
    regions = []
    for each in dict.fromkeys(operands):
        if layout.is_map(each):
            regions.append(Region(each, Stretch.of(frame.rows), Stretch.of(frame.columns)))
        elif node.op == "cat" or any(_varies(layout.shapes.get(each, ()), shape)):
            regions.append(_of_constant(each, layout.shapes[each], frame))

    def compute(read: Sequence[Tensor], constants: Run) -> Tensor:
        known = {region.node: value for region, value in zip(regions, read, strict=True)}
        result = applied(node, known, constants)
        values: Tensor = result[0] if isinstance(result, (tuple, list)) else result
        return values

    return Step(node, frame, tuple(regions), compute)


def _varies(shape: tuple[int, ...], of: tuple[int, ...]) -> Iterator[bool]:
    """Whether a tensor that is broadcast to maps varies along their rows and columns."""
    padded = (1,) * (4 - len(shape)) + shape
    return (size > 1 for size in padded[2:])


def _of_constant(node: Node, shape: tuple[int, ...], frame: Frame) -> Region:
    """Read the window of a tensor that does not change, all of it along what it does not vary."""
    rows, columns = (
        Stretch.of(span) if size > 1 else Stretch(np.zeros_like(span.start), 1)
        for span, size in zip(frame, ((1,) * (4 - len(shape)) + shape)[2:], strict=True)
    )
    return Region(node, rows, columns)
