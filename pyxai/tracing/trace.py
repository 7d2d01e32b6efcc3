"""Trace a model once into a graph of aten ops, and remember it for the next call."""

from __future__ import annotations

import contextlib
import threading
import weakref
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from pyxai._checks import describe
from pyxai._errors import UnsupportedOperationError
from pyxai.runner.arguments import Shared, as_arguments, follows, own_values, take_arguments
from pyxai.runner.mixing import MixedRowsError, agree, another_row, check_rows
from pyxai.runner.notes import check_form, named, note_call, note_single_example
from pyxai.runner.state import left_as_found
from pyxai.tracing.exporting import export, tracing_alone
from pyxai.tracing.fingerprint import Fingerprint
from pyxai.tracing.from_export import converted
from pyxai.tracing.graph import Graph, Program
from pyxai.tracing.staleness import attributes_kept, check_current, is_current, outputs_as_found

__all__ = ["trace", "trace_rows", "unwrapped"]

# Graphs kept per model: one for each combination of shapes, dtypes and module states in use.
_CACHE_SIZE = 16
_CACHE: weakref.WeakKeyDictionary[nn.Module, OrderedDict[Any, list[Program]]] = (
    weakref.WeakKeyDictionary()
)
_cache_lock = threading.RLock()  # a finaliser that runs meanwhile may trace something too
# Whether the outputs of rows are apart, and whether one row runs the ops that several do, once it
# was looked at.
_APART: weakref.WeakKeyDictionary[Program, bool] = weakref.WeakKeyDictionary()
_SINGLE: weakref.WeakKeyDictionary[Program, bool] = weakref.WeakKeyDictionary()


def trace(
    model: nn.Module,
    example_inputs: Tensor | Sequence[Tensor],
    additional_forward_args: Any = None,
) -> Graph:
    """Return the graph of aten ops that ``model`` runs on inputs like the given ones.

    The first call with a combination of dtype, device, sizes without the batch, and state of the
    modules runs one row, to see whether it runs, and traces the model with fake tensors; later
    calls return the same program. Weights are read from the model in every run, so training
    between calls is seen; replacing a module, a hook, or anything that a module holds or its code
    names traces anew. Where something cannot be read for that, one row goes through the model
    and the graph, and they must agree.

    Parameters
    ----------
    model : Module
        Model whose forward takes the inputs, then the additional arguments, and returns a tensor.
    example_inputs : Tensor or sequence of Tensor, each [batch, *features]
        Inputs to which the methods attribute. The batch size is free in the graph unless the
        model fixes it.
    additional_forward_args : Any
        Further arguments; anything but a tuple counts as one. Tensors among them are run-time
        values, others become part of the graph.

    Returns
    -------
    Graph
        Holds the model, but no tensor of the inputs.

    Raises
    ------
    TypeError
        If ``model`` is no ``nn.Module``, an input no tensor, or the output none.
    UnsupportedOperationError
        If the model cannot be traced, for instance because its Python code branches on values;
        the message says why and where in the code.
    Exception
        What the model raises by itself, if it does not run on these inputs.
    RuntimeError
        If the model has changed and its graph, traced anew, gives another output than it does.

    Notes
    -----
    What only raises, an ``assert`` on values say, leads to no value and is not in the graph; the
    first row goes through the model itself. The graph runs where the first input is: of a model
    spread over several devices, the tensors on others are copied there for each run. Tracing takes
    10 to 30 ms per op of the model. The model is left as found: training flags, ``requires_grad``,
    hooks, attributes of its modules.
    """
    model = unwrapped(model)
    inputs = (example_inputs,) if isinstance(example_inputs, Tensor) else tuple(example_inputs)
    for position, value in enumerate(inputs):
        if not isinstance(value, Tensor):
            raise TypeError(f"inputs[{position}] must be a tensor, got {describe(value)}")
    extra = as_arguments(additional_forward_args)
    batch = inputs[0].shape[0] if inputs and inputs[0].dim() else 0
    signature, complete = _signature(model, inputs, extra, batch)
    known = _known(model, signature, inputs, extra, batch)
    if known is not None and (complete or is_current(Graph(known, model), inputs, extra, batch)):
        return Graph(known, model)
    if batch:
        _check_runs(model, inputs, extra, batch)
    with tracing_alone():
        meanwhile = _known(model, signature, inputs, extra, batch)
        if meanwhile is not known and meanwhile is not None:  # by another thread
            return Graph(meanwhile, model)
        graph = Graph(_traced(model, inputs, extra, batch), model)
        if known is not None:
            check_current(graph, inputs, extra, batch)
        _keep(model, signature, graph.program, known)
    return graph


def trace_rows(model: nn.Module, inputs: tuple[Tensor, ...], arguments: tuple[Any, ...]) -> Graph:
    """Trace a model that has an output for each row, or one for all of them.

    Parameters
    ----------
    model, inputs, arguments
        As for :func:`trace`.

    Returns
    -------
    Graph
        That of :func:`trace`; where a single row is given and its output depends on rows beside it,
        for batches of one row alone.

    Raises
    ------
    ValueError
        If it has another number of outputs, or that of several rows depends on the rows beside it.
    """
    graph = trace(model, inputs, arguments)
    if graph.batch_is_free and graph.program.rows_apart:
        if _keeps_apart(graph, inputs, arguments):
            return graph
        if len(inputs[0]) == 1:  # what it is compared with goes through by itself
            return Graph(replace(graph.program, limits=(1, 1)), graph.model)
        raise MixedRowsError(
            "model must give a row the same output whatever rows are beside it, got another one "
            f"for the first of {len(inputs[0])} beside the second; explain one example at a time"
        )
    with attributes_kept(graph.model), left_as_found(tuple(graph.model.modules())):
        given = own_values(arguments)
        check_form(graph.model, inputs, given)
        try:
            check_rows(graph.program.output_sizes, len(inputs[0]))
        except MixedRowsError:
            raise
        except ValueError as error:
            note_single_example(error, graph.model, inputs, given)
            raise
    return graph


def _keeps_apart(graph: Graph, inputs: tuple[Tensor, ...], arguments: tuple[Any, ...]) -> bool:
    """Whether the first row has the same output beside the second as beside itself.

    Of a single row the second one is made up: baselines and parts of it may go through with it.
    """
    program, batch = graph.program, len(inputs[0])
    if program.random or any(module.training for module in graph.model.modules()):
        return True
    if program not in _APART:
        if not program.accepts(2):
            return True
        itself = take_arguments((inputs, arguments), torch.tensor([0, 0]), batch)
        if batch > 1:
            beside = take_arguments((inputs, arguments), torch.tensor([0, 1]), batch)
        else:
            beside = tuple(torch.cat([x, another_row(x)]) for x in inputs), itself[1]
        with contextlib.suppress(Exception):  # an error of the model's comes from where it matters
            found = [outputs_as_found(graph.model, *part) for part in (beside, itself)]
            _APART[program] = agree(found[0][:1], found[1][:1])
    return _APART.get(program, True)


def unwrapped(model: Any) -> nn.Module:
    """Return the module that runs in Python within wrappers that compile or distribute it.

    Raises
    ------
    TypeError
        If there is none.
    """
    while True:
        if hasattr(model, "_orig_mod"):  # torch.compile
            model = model._orig_mod
        elif isinstance(model, (nn.DataParallel, nn.parallel.DistributedDataParallel)):
            model = model.module
        else:
            break
    if not isinstance(model, nn.Module) or isinstance(model, torch.jit.ScriptModule):
        raise TypeError(f"model must be an nn.Module that runs in Python, got {describe(model)}")
    return model


def _programs(model: nn.Module, signature: Any) -> list[Program]:
    """Return the programs traced for a signature, the least recently used signatures dropped."""
    known = _CACHE.setdefault(model, OrderedDict())
    programs = known.setdefault(signature, [])
    known.move_to_end(signature)
    while len(known) > _CACHE_SIZE:
        known.popitem(last=False)
    return programs


def _known(
    model: nn.Module, signature: Any, inputs: tuple[Tensor, ...], extra: tuple[Any, ...], batch: int
) -> Program | None:
    with _cache_lock:
        programs = tuple(_programs(model, signature))
    accepting = (program for program in programs if program.accepts(batch))
    return next((one for one in accepting if _serves(one, model, inputs, extra, batch)), None)


def _keep(model: nn.Module, signature: Any, program: Program, stale: Program | None) -> None:
    with _cache_lock:
        programs = _programs(model, signature)
        if stale in programs:
            programs.remove(stale)
        programs.append(program)


def _signature(
    model: nn.Module, inputs: tuple[Tensor, ...], extra: tuple[Any, ...], batch: int
) -> tuple[Any, bool]:
    """Everything that decides which ops run, as a hashable value, and whether nothing is amiss."""
    leaves, structure = pytree.tree_flatten((inputs, extra))
    fingerprint = Fingerprint(model)
    described = tuple(_described(leaf, batch, fingerprint) for leaf in leaves)
    modules = tuple(fingerprint.module(name, module) for name, module in model.named_modules())
    tensors = tuple(
        (name, value.shape, value.dtype, value.device) for name, value in _named_tensors(model)
    )
    kinds = {value.device.type for value in inputs}
    autocast = tuple(
        (kind, torch.get_autocast_dtype(kind))
        for kind in sorted(kinds)
        if torch.amp.is_autocast_available(kind) and torch.is_autocast_enabled(kind)
    )
    return (described, str(structure), modules, tensors, autocast), fingerprint.complete


def _described(leaf: Any, batch: int, fingerprint: Fingerprint) -> Any:
    """Return what of an argument decides which ops run, and -1 for a size that is the batch's."""
    if isinstance(leaf, Shared):
        parts, structure = pytree.tree_flatten(own_values(leaf))
        return str(structure), *(_described(part, -1, fingerprint) for part in parts)
    if not isinstance(leaf, Tensor):
        return fingerprint.value(leaf)
    sizes = tuple(leaf.shape)
    sizes = (-1, *sizes[1:]) if follows(leaf, batch) else sizes
    return sizes, leaf.dtype, leaf.device, leaf.layout


def _named_tensors(model: nn.Module) -> Iterator[tuple[str, Tensor]]:
    yield from model.named_parameters(remove_duplicate=False)
    yield from model.named_buffers(remove_duplicate=False)


def _traced(
    model: nn.Module, inputs: tuple[Tensor, ...], extra: tuple[Any, ...], batch: int
) -> Program:
    """Trace with a free batch if the model allows it, otherwise with the batch as it is."""
    further = [isinstance(leaf, Tensor) for leaf in pytree.tree_leaves(own_values(extra))]
    for follow in (True, False) if batch < 2 and extra else (True,):
        example = _example(inputs, extra, batch, follow)
        with contextlib.suppress(UnsupportedOperationError):
            program = converted(export(model, example, max(batch, 2)), len(inputs), further)
            if program.accepts(batch) and _serves(program, model, inputs, extra, batch):
                return program
    return converted(export(model, (*inputs, *extra), None), len(inputs), further)


def _serves(
    program: Program, model: nn.Module, inputs: tuple[Tensor, ...], extra: tuple[Any, ...],
    batch: int,
) -> bool:  # fmt: skip
    """Whether a program that was traced with two rows or more is right for these.

    With a single row some models run other ops, as ``squeeze`` does: seen once for each program.
    """
    if batch != 1 or program.limits[0] == program.limits[1]:
        return True
    if program not in _SINGLE:
        try:
            _SINGLE[program] = is_current(Graph(program, model), inputs, extra, batch)
        except Exception:  # it does not run, and the model did
            _SINGLE[program] = False
    return _SINGLE[program]


def _check_runs(
    model: nn.Module, inputs: tuple[Tensor, ...], extra: tuple[Any, ...], batch: int
) -> None:
    """Raise the error that the model has by itself: that of tracing it says less.

    One row does, unless the model needs all of them.
    """
    with contextlib.suppress(Exception):
        found = outputs_as_found(model, *take_arguments((inputs, extra), slice(0, 1), batch))
        return _check_output(found)
    try:
        found = outputs_as_found(model, inputs, extra)
    except Exception as error:
        given, modules = own_values(extra), tuple(model.modules())
        note_call(error, named(inputs, given), modules)
        with attributes_kept(model), left_as_found(modules):
            note_single_example(error, model, inputs, given)
        raise
    return _check_output(found)


def _check_output(outputs: Any) -> None:
    """Raise ``TypeError`` unless a model has returned a tensor."""
    if isinstance(outputs, (bool, int, float)):
        raise TypeError(
            "model must return a tensor, not a number of Python's, for its ops to be traced, "
            f"got {describe(outputs)}"
        )
    if not isinstance(outputs, Tensor):
        raise TypeError(
            f"model must return a tensor, got {describe(outputs)}; "
            "pass a module that picks the tensor out of what the model returns"
        )


def _example(
    inputs: tuple[Tensor, ...], extra: tuple[Any, ...], batch: int, follow: bool
) -> tuple[Any, ...]:
    """Return arguments with at least two rows: sizes 0 and 1 are specialised by the tracer."""

    def doubled(leaf: Any) -> Any:
        if not follows(leaf, batch) or leaf.layout != torch.strided:
            return leaf
        return leaf.new_zeros((2, *leaf.shape[1:])) if batch == 0 else torch.cat([leaf, leaf])

    if batch > 1:
        return (*inputs, *extra)
    wider = pytree.tree_map(doubled, extra) if follow else extra
    return (*(doubled(value) for value in inputs), *wider)
