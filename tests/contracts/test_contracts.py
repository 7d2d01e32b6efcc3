"""What every method of the registry promises; a new method is tested here without a new test."""

import importlib
import inspect
import re

import captum.attr
import pytest
import torch
from contract_cases import (
    EXAMPLES,
    N_CLASSES,
    N_FEATURES,
    example_of,
    make_background,
    make_inputs,
    make_net,
    make_options,
    table_of,
)
from contract_runs import (
    NAMES,
    assert_close,
    having,
    makes,
    method_of,
    parts,
    run,
    summing,
    with_option,
)
from torch import nn

import pyxai
from pyxai import PyxaiWarning, registry
from pyxai.imputers import Marginal
from pyxai.methods import Attribution

MASKED = [*with_option("feature_mask"), *summing()]


def test_the_table_knows_only_registered_methods():
    assert set(EXAMPLES) <= set(NAMES)


# 1. A row alone is a row in a batch, and rows may be permuted.


@pytest.mark.parametrize("name", having(lambda method: not method.whole_batch))
def test_batch_invariance(name):
    example = example_of(name)
    model, x = make_net(example), make_inputs(example, 5)
    target = torch.tensor([0, 1, 2, 0, 1])
    together = run(name, model, x, target)
    for row in range(5):
        alone = run(name, model, x[row : row + 1], int(target[row]))
        assert_close(alone.attributions, together.attributions[row : row + 1])
    order = torch.tensor([3, 0, 4, 1, 2])
    permuted = run(name, model, x[order], target[order])
    assert_close(permuted.attributions, together.attributions[order])
    if together.convergence_delta is not None:
        assert_close(permuted.convergence_delta, together[order].convergence_delta)


@pytest.mark.parametrize("name", [name for name in MASKED if not registry.get(name).whole_batch])
def test_batch_invariance_with_masks_per_example(name):
    example = example_of(name)
    model, x = make_net(example), make_inputs(example, 5)
    mask = torch.tensor(
        [[0, 0, 1, 1, 2, 2], [0, 1, 2, 3, 4, 7], [2, 2, 0, 0, 1, 1], [3] * 6, [0, 1, 1, 1, 1, 0]]
    )
    target = torch.tensor([0, 1, 2, 0, 1])
    if name == "functional_information":  # one covariance for all examples
        rejects(name, ValueError, "feature_mask must be the same for all", feature_mask=mask[:4])
        return
    together = run(name, model, x, target, feature_mask=mask)
    for row in range(5):
        one = slice(row, row + 1)
        alone = run(name, model, x[one], target[one], feature_mask=mask[one])
        assert_close(alone.attributions, together.attributions[one])


@pytest.mark.parametrize("name", NAMES)
def test_forms_of_the_target_agree(name):
    example = example_of(name)
    model, x = make_net(example), make_inputs(example, 3)
    expected = run(name, model, x, 1).attributions
    for target in (torch.tensor(1), (1,), [1, 1, 1], torch.tensor([1, 1, 1]), [(1,), (1,), (1,)]):
        assert_close(run(name, model, x, target).attributions, expected)
    single = nn.Sequential(*make_net(example), Column(1))
    assert_close(run(name, single, x, None).attributions, expected)


class Column(nn.Module):
    """Pick one output."""

    def __init__(self, column):
        super().__init__()
        self.column = column

    def forward(self, outputs):
        return outputs[:, self.column : self.column + 1]


@pytest.mark.parametrize("name", [name for name in NAMES if makes(name).explains_every_output])
def test_all_outputs_at_once_are_each_by_itself(name):
    example, more = table_of(name)
    model, x = make_net(example), make_inputs(example)
    x[1, 2] = 0  # equals the baseline, so that it is solved apart
    together = run(name, model, x, None, **more)
    assert together.attributions.shape == (len(x), N_CLASSES, *x.shape[1:])
    assert_close(together.outputs, model(x).detach())
    for target in range(N_CLASSES):
        single = run(name, model, x, target, **more)
        assert_close(together.attributions[:, target], single.attributions)
        if single.convergence_delta is not None:
            assert_close(together.convergence_delta[:, target], single.convergence_delta)
    row = together[1]
    assert_close(row.attributions, together.attributions[1:2])
    assert_close(row.outputs, together.outputs[1:2])
    assert "feature [" in str(together)


# 2. One seed, one answer.


@pytest.mark.parametrize("name", having(lambda method: method.stochastic))
def test_a_method_that_samples_says_its_error(name):
    example = example_of(name)
    model, x = make_net(example), make_inputs(example)
    more = {}
    if name == "feature_permutation":  # one permutation has no spread
        assert run(name, model, x).error is None
        more = {"n_samples": 5}
    asked = run(name, model, x, **more)
    assert asked.error.shape == asked.attributions.shape
    assert asked.error.isfinite().all()
    assert re.search(r"\n  error +\S+ at most, standard error of an attribution", str(asked))
    assert "return_error" not in asked.options
    without = run(name, model, x, return_error=False, **more)
    assert without.error is None
    # What is said about a result does not change it.
    assert_close(without.attributions, asked.attributions)


TOO_FEW = {
    "expected_gradients": {"n_samples": 1},
    "functional_information": {"n_samples": 2},
    "gradient_shap": {"n_samples": 1},
    "kernel_shap": {"n_samples": 12},
    "lime": {"n_samples": 4},
    "prediction_difference": {},
    "shapley_value_sampling": {"n_samples": 2},
}


@pytest.mark.parametrize("name", TOO_FEW)
def test_an_error_that_says_nothing_is_said_with_what_to_do(name):
    example = example_of(name)
    changes = dict(TOO_FEW[name])
    if name == "prediction_difference":
        changes["baselines"] = None
        changes["imputer"] = Marginal(make_background(example), n_draws=1)
    with pytest.warns(PyxaiWarning, match=r"leaves standard errors infinite: .*(give|more)"):
        found = run(name, make_net(example), make_inputs(example), **changes)
    assert found.error.isinf().any()


@pytest.mark.parametrize("name", NAMES)
def test_same_call_same_bits_and_no_global_random_state(name):
    example = example_of(name)
    model, x = make_net(example), make_inputs(example)
    torch.manual_seed(1)
    first = run(name, model, x)
    state = torch.get_rng_state()
    torch.manual_seed(2)
    second = run(name, model, x)
    assert torch.equal(first.attributions, second.attributions)
    torch.manual_seed(1)
    assert torch.equal(state, torch.get_rng_state())


@pytest.mark.parametrize("name", having(lambda method: method.stochastic))
def test_seeds_matter_and_repeat(name):
    example = example_of(name)
    model, x = make_net(example), make_inputs(example)
    default, zero, one = (run(name, model, x, **seed) for seed in ({}, {"seed": 0}, {"seed": 1}))
    assert torch.equal(default.attributions, zero.attributions)
    assert not torch.allclose(zero.attributions, one.attributions)


@pytest.mark.parametrize(
    "name", [name for name in with_option("example_ids") if registry.get(name).stochastic]
)
def test_named_examples_draw_by_name(name):
    example = example_of(name)
    model, x = make_net(example), make_inputs(example, 3)
    together = run(name, model, x, example_ids=[10, 20, 30]).attributions
    alone = run(name, model, x[1:2], example_ids=[20]).attributions
    assert_close(alone, together[1:2])
    other = run(name, model, x[1:2], example_ids=[21]).attributions
    assert not torch.allclose(other, alone)


@pytest.mark.parametrize("name", having(lambda method: example_of(method.name).bounds))
def test_bounds_do_not_change_the_result(name):
    example = example_of(name)
    model, x = make_net(example), make_inputs(example)
    whole = run(name, model, x)
    for option, value in example.bounds.items():
        assert_close(run(name, model, x, **{option: value}).attributions, whole.attributions)


# 3. Completeness is reported, and true.


@pytest.mark.parametrize("name", having(lambda method: method.complete))
def test_completeness_is_reported(name):
    example, entry = example_of(name), registry.get(name)
    model, x = make_net(example), make_inputs(example)
    target = torch.tensor([0, 1, 2, 1])
    result = run(name, model, x, target)
    if entry.baselines == "distribution":
        start = model(make_background(example)).mean(0)[target]
    elif entry.baselines == "required":
        start = model(make_background(example)[:1])[0, target]
    elif entry.baselines == "optional":
        start = model(torch.zeros_like(x[:1]))[0, target]
    else:
        start = torch.zeros(len(x), dtype=torch.float64)
    end = model(x).gather(1, target[:, None])[:, 0]
    total = sum(part.flatten(1).sum(1) for part in parts(result.attributions))
    assert_close(result.outputs, end.detach())
    delta = result.convergence_delta
    if delta.shape == (len(x),):
        assert_close(delta, (total - (end - start)).detach())
    assert (delta.abs() <= example.delta).all(), delta


# 4. The axioms that a method claims, on nets where they can be seen.


def claiming(axiom):
    return having(lambda method: axiom in method.axioms)


@pytest.mark.parametrize("name", claiming("null_player"))
def test_null_player(name):
    example, more = table_of(name)
    model, x = make_net(example), make_inputs(example)
    with torch.no_grad():
        model[0].weight[:, 2] = 0
    values = run(name, model, x, **more).attributions
    # Exactly 0, but for the weighted sum over all 2^n outputs, each of size 1, which rounds.
    rounding = 1e-15 if name == "shapley_values" else 0.0
    assert (values[:, 2].abs() <= rounding).all()
    assert (values[:, 1].abs() > 1e-6).all()


@pytest.mark.parametrize("name", claiming("symmetry"))
def test_symmetry(name):
    example = example_of(name)
    model, x = make_net(example), make_inputs(example)
    with torch.no_grad():
        model[0].weight[:, 4] = model[0].weight[:, 1]
    x[:, 4] = x[:, 1]
    background = make_background(example)
    background[:, 4] = background[:, 1]
    kind = registry.get(name).baselines
    changes = {}
    if kind in ("required", "distribution"):
        changes["baselines"] = background if kind == "distribution" else background[:1]
    values = run(name, model, x, **changes).attributions
    assert_close(values[:, 4], values[:, 1])


class Combined(nn.Module):
    """2 f - 3 g."""

    def __init__(self, first, second):
        super().__init__()
        self.first, self.second = first, second

    def forward(self, x):
        return 2 * self.first(x) - 3 * self.second(x)


@pytest.mark.parametrize("name", claiming("linearity"))
def test_linearity(name):
    example = example_of(name)
    first, second = make_net(example, 1).eval(), make_net(example, 2).eval()
    x = make_inputs(example)
    values = run(name, Combined(first, second).eval(), x).attributions
    expected = 2 * run(name, first, x).attributions - 3 * run(name, second, x).attributions
    assert_close(values, expected)


@pytest.mark.parametrize("name", claiming("implementation_invariance"))
def test_implementation_invariance(name):
    example, more = table_of(name)
    model, x = make_net(example), make_inputs(example)
    wide = nn.Sequential(nn.Linear(N_FEATURES, 24), example.activation(), nn.Linear(24, N_CLASSES))
    wide = wide.double().eval()
    order = torch.randperm(24, generator=torch.Generator().manual_seed(0))
    share = torch.tensor([0.25, 0.75]).repeat_interleave(12).double()
    with torch.no_grad():  # every unit twice, in another order, the second layer shared out
        wide[0].weight.copy_(model[0].weight.repeat(2, 1)[order])
        wide[0].bias.copy_(model[0].bias.repeat(2)[order])
        wide[2].weight.copy_((model[2].weight.repeat(1, 2) * share)[:, order])
        wide[2].bias.copy_(model[2].bias)
    assert_close(wide(x), model(x))
    found = run(name, wide, x, **more).attributions
    assert_close(found, run(name, model, x, **more).attributions)


# 5. Bad input is named.


def rejects(name, error, message, *, inputs=None, target=0, model=None, **changes):
    example = example_of(name)
    x = make_inputs(example) if inputs is None else inputs
    with pytest.raises(error, match=message):
        run(name, make_net(example) if model is None else model, x, target, **changes)


@pytest.mark.parametrize("name", NAMES)
def test_bad_inputs_are_named(name):
    x = make_inputs(example_of(name))
    with pytest.raises(TypeError, match="inputs must be a tensor, got 'x'"):
        pyxai.explain(
            make_net(example_of(name)),
            "x",
            method=name,
            **make_options(example_of(name), make_net(example_of(name))),
        )
    rejects(name, ValueError, "inputs must have at least one example, got shape", inputs=x[:0])
    for bad in (float("nan"), float("inf")):
        broken = x.clone()
        broken.view(-1)[3] = bad
        rejects(name, ValueError, r"inputs must be finite, got 1 NaN or inf", inputs=broken)
    rejects(name, TypeError, "inputs must be real, got torch.complex", inputs=x.to(torch.cfloat))


@pytest.mark.parametrize("name", NAMES)
def test_bad_targets_are_named(name):
    rejects(name, ValueError, r"target must be in 0 \.\. 2 .*got 3", target=3)
    rejects(name, ValueError, r"target must be in 0 \.\. 2 .*got 7", target=[0, 1, 7, 2])
    rejects(name, ValueError, "target must be at least 0, got -1", target=-1)
    rejects(name, ValueError, "target must have one entry per example, 4, got 3", target=[0, 1, 2])
    rejects(name, TypeError, "target must be an integer, .*got 'a'", target="a")
    rejects(name, TypeError, "target must hold integers", target=torch.zeros(4))
    method, options = method_of(name, make_net(example_of(name)))
    if not method.explains_every_output:
        # As the caller knows the outputs, not as a pass has them.
        message = r"^target must be given .*, got None for outputs of shape \[rows, 3\]$"
        rejects(name, ValueError, message, target=None)
        # As captum's, these take all outputs.
        if name not in ("feature_ablation", "feature_permutation", "occlusion"):
            with pytest.raises(ValueError, match=message):
                method.attribute(make_inputs(example_of(name)), **options)


@pytest.mark.parametrize(
    "name", having(lambda method: method.baselines in ("optional", "required"))
)
def test_bad_baselines_are_named(name):
    x = make_inputs(example_of(name))
    rejects(name, ValueError, "baselines must be a number or have shape", baselines=x[:3])
    rejects(name, ValueError, "baselines must be a number or have shape", baselines=x[..., :2])
    rejects(name, ValueError, "baselines must be finite, got", baselines=float("nan"))
    rejects(name, ValueError, "baselines must be finite, got", baselines=x / 0)
    rejects(name, ValueError, "baselines must be on cpu, got meta", baselines=x.to("meta"))
    rejects(name, TypeError, "baselines must be a number or a tensor, got 'x'", baselines="x")
    rejects(name, ValueError, "baselines must have 1 entries", baselines=(x, x))


@pytest.mark.parametrize("name", having(lambda method: method.baselines == "distribution"))
def test_bad_background_is_named(name):
    x = make_inputs(example_of(name))
    rejects(name, ValueError, "baselines must have", baselines=x[:0])
    rejects(name, ValueError, "baselines must have", baselines=x[..., :2])
    rejects(name, ValueError, "baselines must be finite, got", baselines=x / 0)


@pytest.mark.parametrize("name", having(lambda method: method.baselines == "none"))
def test_baselines_are_refused_where_none_are_taken(name):
    example = example_of(name)
    model = make_net(example)
    first = {
        option: value
        for option, value in make_options(example, model).items()
        if option in inspect.signature(registry.get(name).factory).parameters
    }
    if "baselines" not in registry.get(name).factory(model, **first).option_names():
        rejects(
            name, TypeError, f"baselines must be None for {name}, which takes none", baselines=0
        )


@pytest.mark.parametrize("name", MASKED)
def test_bad_masks_are_named(name):
    mask = torch.arange(N_FEATURES)
    rejects(
        name, ValueError, "feature_mask must hold ids of at least 0, got -1", feature_mask=mask - 1
    )
    rejects(
        name,
        TypeError,
        "feature_mask must hold integers, got torch.float32 with fractions",
        feature_mask=mask / 2,
    )
    rejects(
        name,
        ValueError,
        r"feature_mask must broadcast to shape \[4, 6\], got \[5\]",
        feature_mask=mask[:5],
    )
    rejects(name, ValueError, "feature_mask must have 1 entries", feature_mask=(mask, mask))


@pytest.mark.parametrize("name", NAMES)
def test_unknown_options_are_answered_with_the_known(name):
    rejects(name, TypeError, "options of .* must be among .*, got 'n_stpes'", n_stpes=3)


def test_unknown_methods_are_answered_with_the_known():
    with pytest.raises(ValueError, match=r"method must be one of .*saliency.*, got 'salience'"):
        pyxai.explain(nn.Identity(), torch.ones(1, 2), method="salience")
    with pytest.raises(ValueError, match="did you mean 'saliency'"):
        registry.get("salience")
    with pytest.raises(TypeError, match="method must be a name, an Attribution class or such"):
        pyxai.explain(nn.Identity(), torch.ones(1, 2), method=3)


@pytest.mark.parametrize("name", NAMES)
def test_models_that_cannot_be_called_are_refused(name):
    with pytest.raises(TypeError, match=r"^model must be callable, got 3"):
        pyxai.explain(3, make_inputs(example_of(name)), method=name)


def public_methods():
    """Every class of a public room that explains a model, registered or not."""
    rooms = [importlib.import_module(f"pyxai.{room}") for room in ("attribution", "decomposition")]
    exported = {getattr(room, name) for room in rooms for name in room.__all__}
    classes = {registry.get(name).cls for name in NAMES}
    classes |= {each for each in exported if isinstance(each, type)}
    found = [each for each in classes if issubclass(each, Attribution)]
    return sorted(found, key=lambda each: each.__name__)


@pytest.mark.parametrize("cls", public_methods(), ids=lambda cls: cls.__name__)
def test_the_model_is_called_as_its_argument_is(cls):
    first, *others = inspect.signature(cls).parameters.values()
    needed = [each for each in others if each.default is each.empty]
    needed = [each for each in needed if each.kind is not each.VAR_KEYWORD]
    # A layer, or what may be called.
    given = {each.name: each.annotation == "bool" or nn.Identity() for each in needed}
    for wrong in (None, 3):
        with pytest.raises(TypeError, match=f"^{first.name} must be .*, got {wrong}"):
            cls(wrong, **given)


# 6. The model is left as found.


def snapshot(model, inputs):
    """Everything about a model and its input that a method could leave changed."""
    seen = {"input": (inputs.requires_grad, inputs.grad, inputs._version)}
    for key, module in model.named_modules():
        hooks = (
            module._forward_hooks,
            module._forward_pre_hooks,
            module._backward_hooks,
            module._backward_pre_hooks,
        )
        seen[key] = (module.training, tuple(len(hook) for hook in hooks), sorted(vars(module)))
    for key, parameter in model.named_parameters():
        seen[key + "*"] = (parameter.requires_grad, parameter.grad, parameter.tolist())
    for key, buffer in model.named_buffers():
        seen[key + "*"] = buffer.tolist()
    return seen


def frozen_net(example):
    """Return a net of which one parameter needs no gradient."""
    model = make_net(example)
    model[-1].bias.requires_grad_(False)
    return model


class Failing(nn.Module):
    """Pass rows on for some calls, then raise."""

    def __init__(self, calls):
        super().__init__()
        self.calls = calls

    def forward(self, x):
        if self.calls == 0:
            raise RuntimeError("boom")
        self.calls -= 1
        return x


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("training", [False, True])
def test_model_is_left_as_found(name, training):
    example = example_of(name)
    model, x = frozen_net(example), make_inputs(example).requires_grad_()
    model.train(training)  # no dropout or batch norm in it, so no warning is due
    before = snapshot(model, x)
    run(name, model, x)
    assert snapshot(model, x) == before


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("calls", [0, 2])
def test_model_is_left_as_found_after_an_exception(name, calls):
    example = example_of(name)
    model, x = frozen_net(example), make_inputs(example).requires_grad_()
    model.insert(len(model) - 1, Failing(calls))
    before, state = snapshot(model, x), torch.get_rng_state()

    def run_until_it_fails():
        for _ in range(4):  # a method that makes few calls fails in its next run
            run(name, model, x)

    with pytest.raises(RuntimeError, match="boom"):
        run_until_it_fails()
    assert snapshot(model, x) == before
    assert torch.equal(state, torch.get_rng_state())


# 7. Numbers: no graph, dtypes, shapes.


@pytest.mark.parametrize("name", NAMES)
def test_result_keeps_no_graph(name):
    example = example_of(name)
    x = make_inputs(example).requires_grad_()
    result = run(name, make_net(example), x)
    for tensor in (result.attributions, result.inputs, result.outputs, result.convergence_delta):
        assert tensor is None or not tensor.requires_grad
    assert not result.attributions.is_inference()
    with torch.no_grad():
        assert_close(run(name, make_net(example), x).attributions, result.attributions)


@pytest.mark.parametrize("name", NAMES)
def test_shape_and_dtype(name):
    example = example_of(name)
    model, x = make_net(example), make_inputs(example)
    wide = run(name, model, x)
    assert wide.attributions.dtype == torch.float64
    if example.shape_of_inputs:
        assert wide.attributions.shape == x.shape
    narrow = run(name, model.float(), x.float())
    assert narrow.attributions.dtype == torch.float32
    if not registry.get(name).stochastic:  # float32 noise is not a rounding of float64 noise
        assert_close(narrow.attributions.double(), wide.attributions, 2e-5)


@pytest.mark.parametrize("name", NAMES)
def test_bfloat16_runs_and_comes_back_in_float32(name):
    example = example_of(name)
    model, x = make_net(example), make_inputs(example)
    x = x.bfloat16().double()  # the same numbers in both runs
    model = model.bfloat16().double()
    wide = run(name, model, x).attributions
    half = run(name, model.bfloat16(), x.bfloat16()).attributions
    assert half.dtype == torch.float32
    assert torch.isfinite(half).all()
    if not registry.get(name).stochastic:
        # bfloat16 keeps 8 bits; outputs of size 1 to 2 and their differences round to 1/64.
        torch.testing.assert_close(half.double(), wide, rtol=0.1, atol=1 / 16)


@pytest.mark.parametrize("name", having(lambda method: not method.whole_batch))
def test_one_example(name):
    example = example_of(name)
    x = make_inputs(example, 1)
    assert run(name, make_net(example), x).attributions.shape[0] == 1


# 8. Users of captum find their signatures.


def captum_twins():
    found = []
    for name in NAMES:
        cls = registry.get(name).cls
        if hasattr(captum.attr, cls.__name__):
            found.append((cls, getattr(captum.attr, cls.__name__)))
    return found


@pytest.mark.parametrize(("ours", "theirs"), captum_twins(), ids=lambda cls: cls.__module__)
@pytest.mark.parametrize("function", ["__init__", "attribute"])
def test_signatures_are_those_of_captum(ours, theirs, function):
    def positional(cls):
        return [
            # A default function has the same meaning where it is another object.
            (
                parameter.name,
                None if inspect.isfunction(parameter.default) else parameter.default,
            )
            for parameter in inspect.signature(getattr(cls, function)).parameters.values()
            if parameter.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD
        ]

    assert positional(ours) == positional(theirs)
