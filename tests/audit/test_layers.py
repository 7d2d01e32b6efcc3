"""Audits of methods that look inside a model: maps of a layer, neurons, and what is refused."""

import numpy as np
import pytest
import torch
from torch import nn

import pyxai
from pyxai.audit import audit, load, merge, prepare, run_shard
from pyxai.audit.identity import spell
from pyxai.report import of_audit
from pyxai.report.audit.sample import sample_maps


def make():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 4), nn.Tanh(), nn.Linear(4, 3))


def looks():
    torch.manual_seed(0)
    layers = [nn.Conv2d(1, 3, 3), nn.ReLU(), nn.Flatten(), nn.Linear(48, 2)]
    return nn.Sequential(*layers)


MODEL, LOOKS = make().eval(), looks().eval()
X = torch.randn(12, 4, generator=torch.Generator().manual_seed(1))
IMAGES = torch.rand(6, 1, 6, 6, generator=torch.Generator().manual_seed(2))
METHODS = {
    "saliency": "saliency",
    "units": ("layer_integrated_gradients", {"layer": "2", "n_steps": 20}),
    "drawn": ("layer_gradient_shap", {"layer": "0", "baselines": X[:3], "stdevs": 0.1}),
    "values": ("layer_activation", {"layer": "0"}),
    "neuron": ("neuron_integrated_gradients", {"layer": "0", "neuron_selector": 2}),
}


def explained(name, rows=slice(None), target=None):
    method, options = METHODS[name]
    ids = {"example_ids": torch.arange(12)[rows], "seed": 7} if name == "drawn" else {}
    targeted = {"target": MODEL(X[rows]).argmax(1)} if name in ("units", "drawn") else {}
    return pyxai.explain(MODEL, X[rows], method=method, **options, **ids, **targeted)


def run(out, methods=METHODS, **changes):
    given = {"seed": 7, "shard_size": 5, "batch_size": 3, **changes}
    return audit(MODEL, X, methods, ["sparseness"], out, **given)


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    return run(tmp_path_factory.mktemp("audit") / "a")


@pytest.mark.parametrize("name", [name for name in METHODS if name != "saliency"])
def test_maps_are_those_of_the_method_in_the_form_of_the_layer(name, found):
    want = explained(name).attributions
    torch.testing.assert_close(found.maps(name), want)
    assert found.maps(name).shape == (12, 6 if name in ("drawn", "values") else 4)
    assert found.about(name) == ("neuron" if name == "neuron" else "layer")
    assert found.about("saliency") == "inputs"
    rows = found.rows()
    mine = rows[rows["method"] == name]
    assert mine.error.isna().all()
    assert mine.sparseness.notna().all()
    assert mine.gap.notna().all() == (name in ("units", "drawn"))


def test_it_goes_on_where_it_was_and_makes_the_same_files(found, tmp_path):
    methods = {**METHODS, "units": (METHODS["units"][0], {"layer": MODEL[2], "n_steps": 20})}
    job = prepare(MODEL, X, methods, ["sparseness"], tmp_path, seed=7, shard_size=5, batch_size=3)
    run_shard(job, 1)  # a layer by name or by module is one
    again = run(tmp_path)
    assert load(tmp_path).plan == found.plan
    merge(tmp_path)
    for name in METHODS:
        assert torch.equal(again.maps(name), found.maps(name))


def test_each_process_finds_the_layer_in_its_own_model(found, tmp_path):
    out = tmp_path / "b"
    again = run(out, workers=2, threads=1)
    for name in METHODS:
        torch.testing.assert_close(again.maps(name), found.maps(name), rtol=0, atol=0)


class MyLayer(pyxai.attribution.LayerActivation):
    """A method of a user's, which nobody registered."""


@pytest.mark.parametrize(
    ("method", "of"),
    [
        (("layer_lrp", {"layer": "2"}), "layer"),  # whose maps have the shape of the inputs
        (("neuron_gradient", {"layer": "2", "neuron_selector": 1}), "neuron"),
        ((MyLayer, {"layer": "2"}), "layer"),
        (pyxai.attribution.LayerConductance(MODEL, "2"), "layer"),
    ],
)
@pytest.mark.parametrize("metric", ["insertion", "deletion", "infidelity", "completeness"])
def test_metrics_that_change_inputs_are_refused_before_the_work(method, of, metric, tmp_path):
    said = rf"metrics must be among sensitivity_max, sparseness .* is of a {of}, got {metric}"
    with pytest.raises(ValueError, match=said):
        prepare(MODEL, X, ["saliency", method], ["sparseness", metric], tmp_path / "a")
    assert not (tmp_path / "a").exists()


def test_metrics_of_the_map_alone_and_of_a_users_own_are_taken(tmp_path):
    def largest(model, inputs, attributions):
        return attributions.abs().amax(1).double()

    neuron = ("neuron_gradient", {"layer": "2", "neuron_selector": 1})
    methods = [("layer_lrp", {"layer": "2"}), neuron]
    found = audit(MODEL, X[:4], methods, ["sensitivity_max", largest], tmp_path / "a")
    rows = found.rows()
    assert rows.error.isna().all()
    assert rows.sensitivity_max.notna().all()
    want = np.abs(found.maps("layer_lrp").numpy()).max(1)
    np.testing.assert_allclose(rows[rows["method"] == "layer_lrp"].largest, want)


@pytest.mark.parametrize(
    ("method", "error", "message"),
    [
        ("layer_lrp", ValueError, "options of layer_lrp must have layer, got none"),
        (("layer_lrp", {"layer": "22"}), ValueError, r"layer of layer_lrp must .*did you mean '2'"),
        (("layer_lrp", {"layer": 2}), TypeError, "layer of layer_lrp must be a module or the name"),
        (("neuron_gradient", {"layer": "2"}), ValueError, "must have neuron_selector, got none"),
        (
            ("layer_integrated_gradients", {"layer": ["0", "2"]}),
            ValueError,
            "layer of layer_integrated_gradients must be a single layer in an audit, got 2",
        ),
        (("layer_feature_permutation", {"layer": "2"}), ValueError, "explain each example by its"),
    ],
)
def test_what_does_not_fit_is_refused_before_anything_is_written(method, error, message, tmp_path):
    with pytest.raises(error, match=message):
        prepare(MODEL, X, method, (), tmp_path / "a")
    assert not (tmp_path / "a").exists()


def test_shards_are_as_large_as_the_maps_of_the_layer_allow(tmp_path):
    wide = nn.Sequential(nn.Linear(4, 2**19), nn.Linear(2**19, 1)).eval()
    for method, size in (("saliency", 64), (("layer_activation", {"layer": "0"}), 32)):
        job = prepare(wide, X.repeat(10, 1), method, (), tmp_path / str(size))
        assert job.plan["shard_size"] == size


def test_units_are_no_features_on_the_page(found):
    names = ["wet", "dry", "hot", "cold"]
    page = of_audit(found, X, feature_names=names).to_html()
    assert "unit 3" in page
    saliency, units = (page.count(name) for name in ("wet", "unit 0"))
    assert saliency
    assert units
    # What a map of four units has beside it is no value of the four inputs.
    sample = sample_maps(found, list(METHODS), [0, 1, 2])
    known = sample.correlations.isfinite()
    order = list(METHODS)
    assert not known[order.index("saliency"), order.index("units")]
    assert not known[order.index("saliency"), order.index("neuron")]
    assert not known[order.index("drawn"), order.index("units")]
    assert known[order.index("drawn"), order.index("values")]  # of one layer


def test_maps_of_layers_have_pictures_of_their_own(tmp_path):
    methods = [
        "saliency",
        ("layer_gradient_x_activation", {"layer": "0"}),
        ("layer_activation", {"layer": "3"}),
    ]
    found = audit(LOOKS, IMAGES, methods, (), tmp_path / "a")
    page = of_audit(found, IMAGES).to_html()
    assert page.count("Attributions: layer gradient x activation") > 0
    assert page.count("Attributions: layer activation") == 0  # two numbers: a table
    assert "unit 1" in page
    with pytest.raises(ValueError, match="of a layer"):
        found.to_virelay(tmp_path / "v", IMAGES, methods=["layer_gradient_x_activation"])


def test_neurons_by_functions_without_a_name_are_told_apart(tmp_path):
    def asked(chosen):
        return [("neuron_gradient", {"layer": "0", "neuron_selector": chosen})]

    def of(number):
        return lambda values: values[:, number]

    audit(MODEL, X, asked(lambda values: values[:, 0]), (), tmp_path / "a")
    audit(MODEL, X, asked(lambda values: values[:, 0]), (), tmp_path / "a")  # goes on
    with pytest.raises(ValueError, match="neuron_selector"):
        audit(MODEL, X, asked(lambda values: values[:, 1]), (), tmp_path / "a")
    audit(MODEL, X, asked(of(0)), (), tmp_path / "b")
    with pytest.raises(ValueError, match="neuron_selector"):
        audit(MODEL, X, asked(of(1)), (), tmp_path / "b")
    ordered, other = {0, 8}, {8, 0}
    assert repr(ordered) != repr(other)
    assert spell(of(ordered), "selector", MODEL) == spell(of(other), "selector", MODEL)


def test_layers_that_an_audit_cannot_take_are_named(tmp_path):
    def asked(layer):
        method = ("layer_integrated_gradients", {"layer": layer})
        return lambda: audit(MODEL, X, [method], (), tmp_path / "c", target=0)

    with pytest.raises(ValueError, match="layer of layer_integrated_gradients must be a module of"):
        asked(nn.ReLU())()
    with pytest.raises(ValueError, match="options of saliency must not have targets"):
        audit(MODEL, X, [("saliency", {"targets": [0]})], (), tmp_path / "c")
