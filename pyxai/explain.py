"""One call for any method, by name, class or object."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, overload

from torch import Tensor

from pyxai._checks import check_model, describe
from pyxai._inputs import format_feature_mask, format_inputs
from pyxai._several_targets import Call, detached, explain_each, of_target
from pyxai._signatures import option_names, required_names
from pyxai.explanation import Explanation
from pyxai.explanation.names import as_names, fit_names
from pyxai.methods import Attribution, LayerAttribution
from pyxai.methods.neuron import NeuronAttribution
from pyxai.methods.store import snake_case
from pyxai.registry import Method, find
from pyxai.runner import (
    DIRECT,
    BlackBox,
    EveryOutput,
    Runner,
    Targets,
    as_tensors,
    column_names,
    one_scope,
    path_noted,
)

__all__ = ["explain"]

# The delta is asked for where the method promises it; `method` means something else here.
_RESERVED = ("return_convergence_delta", "method")


@overload
def explain(
    model: Callable[..., Any],
    inputs: Tensor | tuple[Tensor, ...],
    *,
    method: str | type[Attribution] | Attribution,
    target: Any = None,
    targets: None = None,
    baselines: Any = None,
    feature_names: Sequence[str] | None = None,
    **options: Any,
) -> Explanation: ...


@overload
def explain(
    model: Callable[..., Any],
    inputs: Tensor | tuple[Tensor, ...],
    *,
    method: str | type[Attribution] | Attribution,
    targets: Sequence[Any],
    baselines: Any = None,
    feature_names: Sequence[str] | None = None,
    **options: Any,
) -> list[Explanation]: ...


@one_scope
def explain(
    model: Callable[..., Any],
    inputs: Tensor | tuple[Tensor, ...],
    *,
    method: str | type[Attribution] | Attribution,
    target: Any = None,
    targets: Sequence[Any] | None = None,
    baselines: Any = None,
    feature_names: Sequence[str] | None = None,
    **options: Any,
) -> Explanation | list[Explanation]:
    """Explain a model's output for a batch of inputs.

    Parameters
    ----------
    model : callable
        A module or any function of tensors that returns one row per example.
    inputs : Tensor, array or table, or tuple of these, shape [batch, *features]
        What to explain, in input units. Arrays of NumPy and tables of pandas become tensors;
        numbers with a fraction get the model's dtype and device. So do those among the other
        arguments.
    method : str, type or Attribution
        Name of a method (`pyxai.registry.names` lists them), its class, or an object made for
        ``model``. Those of a layer and of neurons (``names(of="layer")``, ``names(of="neuron")``)
        take ``layer=``, those of neurons ``neuron_selector=``.
    target : int, tuple, list or Tensor, optional
        Which output: one index for all examples, or one for each; see `pyxai.runner.Target`.
        ``None`` with several outputs: all of them, by the methods that take them together
        (``"shapley_values"``, ``"shapley_value_sampling"``, ``"kernel_shap"``, ``"lime"``).
    targets : list, optional
        Several targets, each in a form that ``target`` takes: an explanation of the same inputs
        comes back for each. They share what they can: methods that look at outputs only take the
        time of about one target, gradients of all of them come from one forward pass.
    baselines : float, Tensor, or tuple of those, optional
        What stands for absent features, for methods that take it.
    feature_names : sequence of str, or of lists of str, optional
        One name per feature of one example, flattened, or one per group of a ``feature_mask``, in
        the order of its ids. One list for each example where each has names of its own. Default:
        the columns of a table, or what a model of `pyxai.adapters` calls its features.
    **options
        Further arguments of the method's constructor or of its ``attribute``. Each method that
        scores features by gradients or relevance also takes ``feature_mask=``: the sum over a
        group, of words, patches or columns, is what each feature of it gets; see
        `pyxai.Explanation.grouped`.

    Returns
    -------
    Explanation, or list of Explanation
        Attributions with all arguments of the call, the model's outputs, the convergence delta of
        a method that promises completeness, and the standard error of one that samples and can
        say it, unless ``return_error=False`` is among the options. With ``targets`` one for each,
        equal but for rounding to that of the target alone.

    Raises
    ------
    ValueError
        If there is no such method, or an argument does not fit; the message names it.
    TypeError
        If the method does not take one of the options; the message lists those that it takes.

    Notes
    -----
    Cost: that of the method, one row for each example for the outputs, and two for the delta. For
    k targets, methods of outputs (ablation, occlusion, permutation, Shapley values, LIME) ask the
    model as often as for one. Those of gradients run each row forward once and backward k times;
    rows that depend on the target, as those of guided integrated gradients do, are run for each.
    Methods that work on a traced graph (LRP, DeepLIFT) take k times as many rows in one call. With
    a tolerance each example and target has its own end. Methods of layers, those whose results are
    of the whole batch and whatever the registry does not list are called k times.

    Examples
    --------
    >>> import torch, pyxai
    >>> model = torch.nn.Linear(3, 2)
    >>> result = pyxai.explain(model, torch.ones(1, 3), method="integrated_gradients", target=1)
    >>> result.attributions.shape
    torch.Size([1, 3])
    """
    check_model("model", model)
    entry = find(method)
    several = None if targets is None else _several(targets, target)
    columns = column_names(inputs, model) if feature_names is None else None
    shown = model.display_values(inputs) if isinstance(model, BlackBox) else None
    named = {"inputs": inputs, "baselines": baselines, "target": target, **options}
    named = as_tensors(model, named)
    inputs, baselines, target = (named.pop(name) for name in ("inputs", "baselines", "target"))
    call = Call(model, method, entry, inputs, baselines, named, feature_names, columns, shown)
    if several is None:
        return _explained(call, target)[0]
    explainer, _ = _make(method, entry, model, named)
    if "target" not in explainer.option_names():
        raise TypeError(
            f"targets must be None for {_name(entry, type(explainer))}, which takes none, "
            f"got {describe(targets)}"
        )
    return explain_each(call, several, explainer, _explained)


def _several(targets: Any, target: Any) -> Targets:
    """Return several targets, of which each is in a form that fits."""
    if target is not None:
        raise ValueError(f"target must be None where targets are given, got {describe(target)}")
    if not isinstance(targets, (list, range)):
        raise TypeError(f"targets must be a list of targets, got {describe(targets)}")
    return Targets(targets)


def _explained(call: Call, target: Any, outputs: Tensor | None = None) -> list[Explanation]:
    """Explain one target, or each of several `Targets` that the method takes together."""
    model, entry, inputs, baselines = call.model, call.entry, call.inputs, call.baselines
    options = call.options
    explainer, rest = _make(call.method, entry, model, options)
    _check_layer(explainer)
    # Of a method that has no groups of its own; for sums that are taken in the end.
    mask = rest.get("feature_mask") if explainer.sums_groups else None
    if explainer.sums_groups:
        rest = {option: value for option, value in rest.items() if option != "feature_mask"}
    name = _name(entry, type(explainer))
    arguments = _arguments(explainer, name, target, baselines, rest)
    promised = explainer.multiplies_by_inputs and (
        explainer.gives_delta(rest) or (entry is not None and entry.complete)
    )
    asked = promised and "return_convergence_delta" in explainer.option_names()
    if asked:
        arguments["return_convergence_delta"] = True
    if explainer.estimates_error(rest):
        arguments.setdefault("return_error", True)
    further = options.get("additional_forward_args")
    every = target is None and explainer.explains_every_output
    runner = Runner(
        model,
        target=EveryOutput(aggregates=True) if every else target,
        additional_forward_args=further,
    )
    # First, as it is cheap and most of what can be wrong with model and target shows here.
    tensors, _ = format_inputs(inputs)
    if mask is not None and not isinstance(explainer, LayerAttribution):
        format_feature_mask(mask, tensors)
    outputs = runner.outputs(tensors) if outputs is None else outputs
    runner.keep_outputs(tensors, outputs)  # for the delta
    several = isinstance(target, Targets)
    one = several or isinstance(explainer, NeuronAttribution)
    names = _checked_names(
        call.feature_names,
        call.columns,
        tensors,
        explainer,
        1 if one else outputs.shape[1:].numel(),
        options.get("feature_mask"),
    )
    with path_noted() as paths:
        result = explainer.attribute(inputs, **arguments)
    attributions, delta, error = _parts(result, asked, bool(arguments.get("return_error")))
    if isinstance(delta, Tensor) and explainer.delta_is_remainder:
        delta = -delta  # an explanation has one sign for all methods
    if isinstance(explainer, (LayerAttribution, NeuronAttribution)):
        # The form of the attributions is the layer's, or they are of no output.
        options = {**options, "layer": explainer.layer}
    if promised and not asked:
        delta = explainer.compute_convergence_delta(
            attributions, baselines, inputs, target=target, additional_forward_args=further
        )
    parts = {
        "attributions": attributions,
        "convergence_delta": delta,
        "error": error,
        "outputs": outputs,
    }
    made = [
        Explanation(
            **own,
            inputs=detached(inputs),
            baselines=detached(baselines),
            target=goal,
            method=name,
            # Not grouped yet, whatever features happen to have the same attribution.
            options=options if mask is None else {**options, "feature_mask": None},
            feature_names=names if mask is None else None,
            shared_baselines=call.draws_baselines,
            display_values=call.shown,
            path=", ".join(paths) or DIRECT,
            of_layer=isinstance(explainer, LayerAttribution),
        )
        for goal, own in _each_target(target, parts, explainer)
    ]
    return made if mask is None else [each.grouped(mask, names) for each in made]


def _each_target(
    target: Any, parts: dict[str, Any], explainer: Attribution
) -> Iterator[tuple[Any, dict[str, Any]]]:
    """Yield each target with what belongs to it of the parts of an explanation."""
    if not isinstance(target, Targets):
        yield target, parts
        return
    goals = target.as_given
    rows = {"attributions", "error"} if not explainer.explains_every_output else ()
    for number, goal in enumerate(goals):
        yield (
            goal,
            {
                name: of_target(part, number, len(goals), by_rows=name in rows)
                for name, part in parts.items()
            },
        )


def _make(
    method: Any, entry: Method | None, model: Callable[..., Any], options: dict[str, Any]
) -> tuple[Attribution, dict[str, Any]]:
    """Return the object that explains, and the options that are left for `attribute`."""
    if isinstance(method, Attribution):
        if method.forward_func is not model:
            raise ValueError(
                "method must be made for the model that is explained, "
                f"got a {type(method).__name__} of {describe(method.forward_func)}"
            )
        _check_options(method, entry, options, ())
        return method, options
    if entry is None and not (isinstance(method, type) and issubclass(method, Attribution)):
        raise TypeError(
            f"method must be a name, an Attribution class or such an object, got {describe(method)}"
        )
    factory = method if entry is None else entry.factory
    parameters = option_names(factory)
    first = {name: options[name] for name in parameters if name in options}
    _check_required(factory, _name(entry, method), first)
    explainer = factory(model, **first)
    rest = {name: value for name, value in options.items() if name not in first}
    _check_options(explainer, entry, rest, parameters)
    return explainer, rest


def _check_layer(explainer: Attribution) -> None:
    """Raise if a method is of several layers at once, whose maps are several explanations."""
    layers = explainer.layer if isinstance(explainer, LayerAttribution) else None
    if isinstance(layers, (list, tuple)):
        raise ValueError(
            f"layer must be a single layer in pyxai.explain, got {len(layers)}; ask once for each, "
            f"or {type(explainer).__name__} for all"
        )


def _check_options(
    explainer: Attribution,
    entry: Method | None,
    options: dict[str, Any],
    constructor: Sequence[str],
) -> None:
    """Raise if ``attribute`` does not take an option; list the constructor's options as well."""
    set_here = ("target", "baselines", *_RESERVED)
    known = [name for name in explainer.option_names() if name not in set_here]
    known += ["feature_mask"] * explainer.sums_groups
    for name in options:
        if name not in known:
            raise TypeError(
                f"options of {_name(entry, type(explainer))} must be among "
                f"{', '.join((*constructor, *known))}, got {name!r}"
            )


def _arguments(
    explainer: Attribution, name: str, target: Any, baselines: Any, options: dict[str, Any]
) -> dict[str, Any]:
    known = explainer.option_names()
    arguments = dict(options)
    for argument, value in (("target", target), ("baselines", baselines)):
        if argument in known:
            arguments[argument] = value
        elif value is not None:
            raise TypeError(
                f"{argument} must be None for {name}, which takes none, got {describe(value)}"
            )
    _check_required(explainer.attribute, name, arguments)
    return arguments


def _check_required(function: Callable[..., Any], name: str, given: dict[str, Any]) -> None:
    """Raise if an argument without a default, besides the first, is not given."""
    for required in required_names(function):
        if required not in given:
            raise TypeError(f"{required} must be given as an option of {name}, got none")


def _checked_names(
    names: Any,
    columns: list[str] | None,
    inputs: tuple[Tensor, ...],
    explainer: Attribution,
    n_outputs: int,
    feature_mask: Any,
) -> list[Any] | None:
    """Return the names given, else those of columns; raise before the work if they will not fit.

    How many a layer's map has is only known in the end. Where all outputs are explained, columns
    are named once for each.
    """
    if names is None:
        if columns is None or isinstance(explainer, LayerAttribution):
            return None
        outputs = [f"output {at} " for at in range(n_outputs)] if n_outputs > 1 else [""]
        return [output + column for output in outputs for column in columns]
    listed = as_names("feature_names", names)
    if isinstance(explainer, LayerAttribution):
        return listed
    count = n_outputs * sum(part[0].numel() for part in inputs)
    return fit_names(listed, len(inputs[0]), count, inputs, feature_mask)


def _parts(result: Any, with_delta: bool, with_error: bool) -> tuple[Any, Any, Any]:
    """Split what `attribute` returned: attributions, then the delta, then the error."""
    if not (with_delta or with_error):
        return result, None, None
    attributions, *rest = result
    return attributions, rest[0] if with_delta else None, rest[-1] if with_error else None


def _name(entry: Method | None, cls: Any) -> str:
    """Return the registry's name of a method, or that of its class in the same form."""
    if entry is not None:
        return entry.name
    return snake_case(cls.__name__)
