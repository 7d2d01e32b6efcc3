"""Reality checks in situations where each must pass or fail, and of every method."""

import copy
import importlib
import itertools
import math

import pytest
import torch
from contract_cases import example_of, make_inputs, make_net, make_options
from contract_runs import NAMES
from torch import nn

import pyxai
from pyxai import registry
from pyxai.decomposition import ContextualDecomposition
from pyxai.methods import Attribution
from pyxai.metrics import RealityCheck, RealityChecks, reality_checks
from pyxai.metrics.checks import single
from pyxai.metrics.checks.explained import Explained

trace_module = importlib.import_module("pyxai.tracing.trace")
F64 = torch.float64


def drawn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=F64)


class Weighted(nn.Module):
    """The sum of weighted features."""

    def __init__(self, *weights):
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(weights, dtype=F64))

    def forward(self, x):
        return (x * self.weight).sum(1)


class Constant(Attribution):
    """Says the same of every feature of every example."""

    def attribute(self, inputs, target=None):
        return torch.ones_like(inputs)


class Edges(Attribution):
    """Looks at the input and never at the model."""

    def attribute(self, inputs, target=None):
        return (inputs - inputs.roll(1, 1)).abs()


class Recorded(Attribution):
    """Gives the features themselves, and remembers what it was asked."""

    asked = ()

    def attribute(self, inputs, target=None):
        type(self).asked = (*self.asked, inputs)
        return inputs


MODEL = Weighted(4.0, -3.0, 0.0, 0.0, 0.0, 0.0)
X = drawn(40, 6).abs() + 0.5
TRUTH = torch.tensor([[True, False, False, False, False, False]])
PHRASES = torch.eye(6, dtype=torch.bool)[None, :2]
SIGNS = torch.tensor([[1, -1]])
KNOWN = {"truth": TRUTH, "phrases": PHRASES, "phrase_signs": SIGNS}
RIGHT = ["integrated_gradients", "shapley_values", "contextual_decomposition", "deep_lift"]


class TestWhatMustPassAndFail:
    @pytest.mark.parametrize("method", RIGHT)
    def test_a_method_that_is_right(self, method):
        found = reality_checks(MODEL, X, method=method, **KNOWN, n_seeds=8, perturb_radius=0.001)
        assert [check.name for check in found] == [
            "ground_truth",
            "invariants",
            "phrases",
            "human_study",
            "robustness",
            "usefulness",
            "ablation",
        ]
        assert (found["ground_truth"].value, found["ground_truth"].error) == (1.0, 0.0)
        assert found["invariants"].value < 1e-12
        assert (found["phrases"].value, found["phrases"].error) == (1.0, 0.0)
        assert found["robustness"].value > 0.95
        # One feature of six is kept: the one of the larger weight, of about equal spread.
        weight, spread = MODEL.weight.detach(), X.var(0)
        share = weight[0] ** 2 * spread[0] / (weight.square() * spread).sum()
        assert found["usefulness"].value == pytest.approx(float(share), abs=0.15)
        assert found.passed["usefulness"]
        assert found.passed["ablation"]

    def test_a_constant_map_has_chance_everywhere(self):
        found = reality_checks(MODEL, X, method=Constant, **KNOWN)
        assert found["ground_truth"].value == pytest.approx(1 / 6)
        assert found["ground_truth"].error == pytest.approx(0)
        assert found["invariants"].value > 1
        assert found["phrases"].value == 0.5
        assert (found["human_study"].value, found["human_study"].error) == (0.5, 0.0)
        assert found["robustness"].value == 0.0
        assert found["ablation"].value == 0.0
        assert found.passed == dict.fromkeys(found.passed, False)

    def test_an_edge_detector_does_not_look_at_the_model(self):
        found = reality_checks(MODEL, X, method=Edges, **KNOWN)
        assert (found["human_study"].value, found["human_study"].error) == (0.5, 0.0)
        assert not found.passed["human_study"]
        assert not found.passed["invariants"]
        assert not found.passed["ground_truth"]
        assert found.passed["robustness"]  # it is robust, for what that is worth

    def test_a_method_that_looks_at_the_model_recognises_it(self):
        # Of one weight and seven zeros a permutation often moves the weight: away from the truth
        # in some copies, so that the model is chosen, and nowhere in others, which tie.
        model = Weighted(4.0, *[0.0] * 7)
        truth = torch.eye(8, dtype=torch.bool)[:1]
        call = {"truth": truth, "n_seeds": 20, "checks": ["human_study"]}
        x = drawn(10, 8).abs()
        found = reality_checks(model, x, method="input_x_gradient", permuted=1.0, **call)
        moved = 0
        for seed in range(20):
            rng = torch.Generator().manual_seed(seed)
            some = torch.randperm(8, generator=rng)
            mixed = some[torch.randperm(8, generator=rng)]
            moved += int((some == 0).nonzero()) != int((mixed == 0).nonzero())
        assert 0 < moved <= 20
        assert found["human_study"].value == pytest.approx(0.5 + 0.5 * moved / 20)
        assert found.passed["human_study"]
        assert float(model.weight[0].detach()) == 4.0

    @pytest.mark.parametrize("name", [n for n in NAMES if example_of(n).shape_of_inputs])
    def test_other_weights_are_those_of_a_copy_for_each_seed(self, name, monkeypatch):
        net, x = make_net(example_of(name)), make_inputs(example_of(name), 3)
        options = make_options(example_of(name), net)
        if registry.get(name).baselines in ("required", "distribution"):
            options["baselines"] = 0.1 * x[:2]
        truth = torch.zeros_like(x[:1], dtype=torch.bool)
        truth.view(-1)[:2] = True
        seen = []
        monkeypatch.setattr(
            single, "point_game", lambda found, *rest, **kw: seen.append(found) or found[:, 0]
        )
        before = [each.detach().clone() for each in net.parameters()]
        call = {"method": name, "target": 1, **options}
        reality_checks(net, x, truth=truth, checks=["human_study"], n_seeds=2, permuted=0.5, **call)
        assert all(map(torch.equal, before, net.parameters()))
        other, call = copy.deepcopy((net, call))
        rng = torch.Generator().manual_seed(1)
        for each in other.parameters():
            flat = each.detach().flatten()
            some = torch.randperm(len(flat), generator=rng)[: round(0.5 * len(flat))]
            flat[some] = flat[some[torch.randperm(len(some), generator=rng)]].clone()
        if registry.get(name).stochastic:
            call["seed"] = 0
        by_hand = pyxai.explain(other, x, **call).attributions.flatten(1).double()
        torch.testing.assert_close(seen[2], by_hand, rtol=0, atol=0)
        assert not torch.equal(seen[1], seen[2])
        assert not torch.equal(seen[0], seen[2])

    def test_a_traced_method_traces_one_copy(self, monkeypatch):
        traced, real = [], trace_module._traced
        monkeypatch.setattr(
            trace_module, "_traced", lambda *call: traced.append(call[0]) or real(*call)
        )
        net, x = make_net(example_of("lrp")), make_inputs(example_of("lrp"), 3)
        truth = torch.arange(6)[None] < 2
        call = {"method": "lrp", "target": 1, "truth": truth, "checks": ["human_study"]}
        reality_checks(net, x, **call, n_seeds=5)
        assert len(traced) == 2

    @pytest.mark.parametrize("method", ["integrated_gradients", "shapley_values"])
    def test_groups_count_once(self, method):
        torch.manual_seed(0)
        model, x = torch.nn.Linear(5, 2).double(), torch.randn(4, 5).double()
        mask = torch.tensor([0, 0, 1, 1, 1])
        phrases = torch.tensor([[1, 1, 0, 0, 0], [0, 0, 1, 1, 1]], dtype=torch.bool)[None]
        given = {"feature_mask": mask, "checks": ["invariants"], "target": 1}
        found = reality_checks(model, x, method=method, **given)
        assert found["invariants"].value < 1e-10
        explained = Explained(model, x, method, 1, None, 0, {"feature_mask": mask})
        sums = (x * model.weight[1]) @ phrases[0].T.double()
        torch.testing.assert_close(explained.group_scores(phrases), sums.detach())

    def test_invariants_of_a_method_that_misses_a_known_part(self):
        # The gradient alone sums to the sum of weights, 1, and not to the output.
        model = Weighted(4.0, -3.0)
        x = torch.tensor([[1.0, 0.5], [2.0, 1.0]], dtype=F64)
        found = reality_checks(model, x, method="saliency", checks=["invariants"], abs=False)
        change = torch.tensor([2.5, 5.0])
        # The largest of |1 - f(x)| and of the explanation of 0 itself, which is 1.
        wrong = torch.maximum((1 - change).abs(), torch.ones(2)) / change.mean()
        assert found["invariants"].value == pytest.approx(float(wrong.mean()))
        assert found["invariants"].error == pytest.approx(float(wrong.std()) / 2**0.5)

    def test_ties_on_a_black_background(self):
        with torch.random.fork_rng():
            torch.manual_seed(0)
            net = nn.Sequential(nn.Conv2d(1, 3, 3), nn.ReLU(), nn.Flatten(), nn.Linear(48, 2))
        net, images = net.double(), torch.zeros(3, 1, 6, 6, dtype=F64)
        with torch.no_grad():
            net[0].bias.fill_(0.3)  # that a ReLU lets through
        images[:, :, 2, 2] = torch.tensor([[1.0], [2.0], [3.0]])
        call = {"target": 1, "checks": ["invariants"], "method": "contextual_decomposition"}
        assert reality_checks(net, images, **call).passed["invariants"]
        broken = reality_checks(net, images, **call, ties="official")["invariants"]
        assert not broken.passed
        masks = torch.tensor([1.0, 0.0]).view(1, 2, 1, 1, 1)
        scores = ContextualDecomposition(net, ties="official").scores(images, masks, 1)
        output = net(images)[:, 1].detach()
        change = (output - net(torch.zeros_like(images))[:, 1].detach()).abs().mean()
        worst = torch.maximum((scores[:, 0] - output).abs(), scores[:, 1].abs()) / change
        assert broken.value == pytest.approx(float(worst.mean()))


class TestNumbers:
    def test_equal_top_features_share_the_hit(self):
        class Halves(Attribution):
            def attribute(self, inputs, target=None):
                return torch.tensor([[2.0, 2, 1], [1, 3, 3], [-5, 0, 0]]).double()

        truth = torch.tensor([[True, False, False]])
        call = {"method": Halves, "truth": truth, "checks": ["ground_truth"]}
        found = reality_checks(Weighted(1.0, 1.0, 1.0), drawn(3, 3), **call)["ground_truth"]
        hits = torch.tensor([0.5, 0.0, 0.0])
        assert found.value == pytest.approx(float(hits.mean()))
        assert found.error == pytest.approx(float(hits.std()) / 3**0.5)
        found = reality_checks(Weighted(1.0, 1.0, 1.0), drawn(3, 3), absolute=True, **call)
        assert found["ground_truth"].value == pytest.approx((0.5 + 0 + 1) / 3)

    def test_pairs_of_phrases_one_by_one(self):
        class Given(Attribution):
            def attribute(self, inputs, target=None):
                return inputs

        rng = torch.Generator().manual_seed(4)
        x = torch.randint(0, 4, (5, 6), generator=rng).double()  # with ties
        signs = torch.randint(-1, 2, (5, 6), generator=rng)
        call = {"phrases": torch.eye(6, dtype=torch.bool)[None], "phrase_signs": signs}
        found = reality_checks(Weighted(*range(1, 7)), x, method=Given, checks=["phrases"], **call)

        def area(rows):
            places = list(itertools.product(rows, range(6)))
            ups = [x[place] for place in places if signs[place] == 1]
            downs = [x[place] for place in places if signs[place] == -1]
            wins = [float(u > d) + 0.5 * float(u == d) for u in ups for d in downs]
            return sum(wins) / len(wins)

        rows = range(5)
        without = torch.tensor([area([r for r in rows if r != left]) for left in rows])
        assert found["phrases"].value == pytest.approx(area(rows))
        error = (4 / 5 * (without - without.mean()).square().sum()).sqrt()
        assert found["phrases"].error == pytest.approx(float(error), rel=1e-5)

    def test_groups_are_scored_as_wholes_where_a_method_can(self):
        # x0 * x1: each by itself explains half, both together all of it.
        model = lambda x: x[:, 0] * x[:, 1] - 0.7 * x[:, 2]  # noqa: E731
        x = torch.ones(3, 3, dtype=F64)
        masks = torch.tensor([[[1, 1, 0], [1, 0, 0], [0, 0, 1]]]).bool()
        found = Explained(model, x, "feature_ablation", None, None, 0, {}).group_scores(masks)
        assert torch.allclose(found, torch.tensor([[1.0, 1.0, -0.7]], dtype=F64).expand(3, 3))
        found = Explained(model, x, "integrated_gradients", None, None, 0, {}).group_scores(masks)
        assert torch.allclose(found, torch.tensor([[1.0, 0.5, -0.7]], dtype=F64).expand(3, 3))

    def test_a_step_against_the_output(self):
        Recorded.asked = ()
        reality_checks(MODEL, X, method=Recorded, checks=["robustness"], perturb_radius=0.25)
        before, after = Recorded.asked
        assert torch.allclose(after - before, -0.25 * MODEL.weight.detach().sign().expand(40, 6))

    def test_a_pipeline_of_ones_own(self):
        def pipeline(with_explanation, seed):
            return 0.8 + 0.01 * seed if with_explanation else 0.5 + 0.02 * seed

        call = {"checks": ["usefulness", "ablation"], "pipeline": pipeline, "n_seeds": 3}
        found = reality_checks(MODEL, X, method="saliency", useful_above=0.1, seed=2, **call)
        assert found["usefulness"].value == pytest.approx(0.83)
        assert found["usefulness"].error == pytest.approx(0.01 / 3**0.5)
        assert found["usefulness"].bound == 0.1
        assert found["ablation"].value == pytest.approx(0.27)
        assert found["ablation"].error == pytest.approx(0.01 / 3**0.5)
        assert found.passed == {"usefulness": True, "ablation": True}

    @pytest.mark.parametrize("sign", [1, -1])
    def test_features_of_either_sign_are_of_use(self, sign):
        model, x = Weighted(1.0, sign * 4.0, -sign), drawn(40, 3).abs()
        call = {"checks": ["usefulness"], "method": "input_x_gradient"}
        assert reality_checks(model, x, **call)["usefulness"].value > 0.7  # 16 / 18

    @pytest.mark.parametrize(
        ("check", "model", "rows", "change", "message"),
        [
            ("invariants", Weighted(0.0, 0.0), 9, {}, "the output must differ from that of the"),
            ("usefulness", Weighted(0.0, 0.0), 9, {}, "the output must not be the same for all"),
            ("ablation", Weighted(1.0, 2.0), 7, {}, "inputs must hold 8 examples at least, or"),
            ("ground_truth", Weighted(1.0, 2.0), 9, {"truth": None}, "truth must be given"),
            ("phrases", Weighted(1.0, 2.0), 9, {"phrases": None}, "phrases and phrase_signs must"),
            ("phrases", Weighted(1.0, 2.0), 9, {}, "phrase_signs must have groups for and against"),
            ("human_study", Weighted(1.0, 2.0), 9, {"truth": None}, "answers or truth must be"),
            ("human_study", lambda x: x.sum(1), 9, {}, "model must be an nn.Module, or answers be"),
        ],
    )
    def test_what_a_check_lacks_is_said(self, check, model, rows, change, message):
        known = {
            "truth": torch.tensor([[True, False]]),
            "phrases": torch.eye(2, dtype=torch.bool)[None],
            "phrase_signs": torch.tensor([[1, 1]]),
        }
        given = {key: value for key, value in {**known, **change}.items() if value is not None}
        if "phrases" not in given:
            del given["phrase_signs"]
        with pytest.raises(ValueError, match=message):
            reality_checks(model, drawn(rows, 2), method=Recorded, checks=[check], **given)
        if check == "ablation":
            reality_checks(model, drawn(8, 2), method=Recorded, checks=[check], **given)

    def test_answers_of_readers(self):
        answers = torch.tensor([[1, 1, 0, 1], [1, 1, 1, 1], [0, 1, 1, 1]]).bool()
        found = reality_checks(MODEL, X, method="saliency", answers=answers, checks=["human_study"])
        each = answers.double().mean(1)
        assert found["human_study"].value == pytest.approx(float(each.mean()))
        assert found["human_study"].error == pytest.approx(float(each.std()) / 3**0.5)
        alone = reality_checks(
            MODEL, X, method="saliency", answers=answers[:1], checks=["human_study"]
        )["human_study"]
        assert alone.error == pytest.approx(0.25)


class TestAnswers:
    def test_no_size_of_a_pass_changes_a_number(self):
        net = make_net(example_of("kernel_shap"))
        x = make_inputs(example_of("kernel_shap"), 12)
        truth = torch.arange(6)[None] < 2
        call = {"method": "shapley_value_sampling", "target": 1, "n_samples": 4, "truth": truth}
        random = torch.get_rng_state()
        found = reality_checks(net, x, **call)
        again = reality_checks(net, x, **call, perturbations_per_eval=2)
        for one, other in zip(again, found, strict=True):
            assert one.value == pytest.approx(other.value, rel=1e-9, abs=1e-12, nan_ok=True)
            assert one.error == pytest.approx(other.error, rel=1e-9, abs=1e-12, nan_ok=True)
        assert (
            reality_checks(net, x, **call).to_dict()["checks"]["human_study"]
            == (found.to_dict()["checks"]["human_study"])
        )
        assert torch.equal(torch.get_rng_state(), random)
        other = reality_checks(net, x, **call, seed=1)
        assert other["invariants"].value != found["invariants"].value

    def test_a_method_as_a_name_a_class_and_an_object(self):
        net = make_net(example_of("contextual_decomposition"))
        x = make_inputs(example_of("contextual_decomposition"), 9)
        call = {"target": 1, "truth": torch.arange(6)[None] < 2, "n_seeds": 2}
        call |= {"phrases": PHRASES, "phrase_signs": SIGNS}
        weights = [parameter.clone() for parameter in net.parameters()]
        found = [
            reality_checks(net, x, method=method, **call).to_dict()
            for method in (
                "contextual_decomposition",
                ContextualDecomposition,
                ContextualDecomposition(net),
            )
        ]
        assert found[0] == found[1] == found[2]
        assert all(map(torch.equal, weights, net.parameters()))

    def test_words_and_several_inputs(self):
        class Reader(nn.Module):
            def __init__(self):
                super().__init__()
                self.words = nn.Embedding(9, 3)
                self.head = nn.Linear(4, 2)

            def forward(self, words, numbers):
                pooled = self.words(words).mean(1)
                return self.head(torch.cat([pooled, numbers], 1))

        with torch.random.fork_rng():
            torch.manual_seed(0)
            reader = Reader().double()
        words = torch.randint(1, 9, (10, 4), generator=torch.Generator().manual_seed(0))
        inputs = (words, drawn(10, 1))
        phrases = (torch.eye(4, dtype=torch.bool)[None, :2], torch.zeros(1, 2, 1).bool())
        found = reality_checks(
            reader,
            inputs,
            method="contextual_decomposition",
            target=1,
            truth=(torch.tensor([[True, True, False, False]]), torch.tensor([[False]])),
            phrases=phrases,
            phrase_signs=torch.tensor([[1, -1]]),
        )
        assert found.passed["invariants"]
        assert {"ground_truth", "phrases", "human_study"} <= set(found.passed)
        assert found["robustness"].passed is None
        assert found["robustness"].measures == "not made: inputs must be floating point"
        assert "usefulness" not in found.passed

    @pytest.mark.parametrize("name", [n for n in NAMES if example_of(n).shape_of_inputs])
    def test_every_method_can_be_checked(self, name):
        example = example_of(name)
        net, x = make_net(example), make_inputs(example, 3)
        options = {
            key: value(net) if key == "layer" else value for key, value in example.options.items()
        }
        if registry.get(name).baselines in ("required", "distribution"):
            options["baselines"] = 0.1 * x[:2]
        truth = torch.zeros_like(x[:1], dtype=torch.bool)
        truth[..., 0] = True
        found = reality_checks(
            net,
            x,
            method=name,
            target=1,
            truth=truth,
            checks=["ground_truth", "invariants"],
            **options,
        )
        assert set(found.passed) == {"ground_truth", "invariants"}
        if registry.get(name).complete:
            assert found["invariants"].value < 0.3, found


class TestResult:
    CHECKS = RealityChecks(
        "saliency",
        (
            RealityCheck("ground_truth", 0.7, 0.09, 0.5, True, 9, "a share"),
            RealityCheck("invariants", 0.7, 0.1, 0.95, False, 9, "a violation"),
            RealityCheck("phrases", 0.7, 0.11, 0.5, True, 9, "a share"),
            RealityCheck("human_study", math.nan, math.nan, math.nan, True, 0, "not made: x"),
            RealityCheck("robustness", 0.6, math.nan, 0.5, True, 1, "a correlation"),
        ),
    )

    def test_two_errors_on_the_right_side(self):
        assert self.CHECKS.passed == {
            "ground_truth": True,
            "invariants": True,
            "phrases": False,
            "robustness": True,
        }
        assert len(self.CHECKS) == 5

    def test_a_table_and_a_dict(self):
        lines = str(self.CHECKS).splitlines()
        assert lines[0] == "Reality checks of saliency"
        assert lines[2].split() == ["ground_truth", "0.7", "0.09", ">", "0.5", "yes", "a", "share"]
        assert lines[5].split()[:5] == ["human_study", "-", "-", "-", "-"]
        found = self.CHECKS.to_dict()["checks"]["phrases"]
        assert (found["value"], found["passed"]) == (0.7, False)

    def test_a_file(self, tmp_path):
        path = self.CHECKS.save(tmp_path / "checks.safetensors")
        assert str(RealityChecks.load(path)) == str(self.CHECKS)
        assert RealityChecks.load(path)["invariants"] == self.CHECKS["invariants"]

    def test_an_unknown_name(self):
        with pytest.raises(KeyError, match=r"name must be one of ground_truth, .* got 'nothing'"):
            self.CHECKS["nothing"]


class TestRefused:
    @pytest.mark.parametrize(
        ("change", "error", "message"),
        [
            ({"checks": "phrases"}, TypeError, "checks must be a sequence of names, got 'phrases'"),
            ({"checks": ["truth"]}, ValueError, "checks must be one of 'ground_truth', .* 'truth'"),
            ({"checks": ["phrases"]}, ValueError, "checks must name those that can be made, .*giv"),
            ({"truth": TRUTH.double()}, TypeError, "truth must be bool, got torch.float64"),
            ({"truth": TRUTH[:, :3]}, ValueError, "truth must broadcast to the inputs, .* got"),
            ({"phrases": PHRASES}, ValueError, "phrases and phrase_signs must be given together"),
            (
                {"phrases": PHRASES[..., :3], "phrase_signs": SIGNS},
                ValueError,
                "phrases must have shape",
            ),
            (
                {"phrases": PHRASES, "phrase_signs": SIGNS[:, :1]},
                ValueError,
                r"phrase_signs must have shape \[40, 2\] or \[1, 2\], got \[1, 1\]",
            ),
            (
                {"phrases": PHRASES, "phrase_signs": 2 * SIGNS},
                ValueError,
                "phrase_signs must be 1, -1 or 0, got",
            ),
            ({"answers": torch.ones(3).bool()}, ValueError, "answers must have shape .readers"),
            ({"answers": torch.ones(3, 2)}, TypeError, "answers must be bool, got torch.float32"),
            ({"pipeline": 3}, TypeError, "pipeline must be a function, got 3"),
            ({"permuted": 0.0}, ValueError, r"permuted must be in \(0, 1\], got 0.0"),
            ({"perturb_radius": -1.0}, ValueError, "perturb_radius must be at least 0, got -1.0"),
            ({"n_seeds": 1}, ValueError, "n_seeds must be at least 2, got 1"),
            ({"method": 3}, TypeError, "method must be a name, an Attribution class or such an"),
            ({"method": "nothing"}, ValueError, "method must be one of"),
            ({"nothing": 3}, TypeError, "options of integrated_gradients must be among"),
        ],
    )
    def test_arguments_that_do_not_fit(self, change, error, message):
        with pytest.raises(error, match=message):
            reality_checks(MODEL, X, **{"method": "integrated_gradients", **change})

    def test_maps_of_another_shape(self):
        example = example_of("grad_cam")
        with pytest.raises(ValueError, match="method must give a score to each feature of the"):
            reality_checks(make_net(example), make_inputs(example), method="grad_cam", target=1)
