"""Information curves against the definition and the authors' package."""

import importlib.util
from pathlib import Path

import matplotlib
import numpy as np
import pytest
import torch
from photographs import photograph
from scipy.interpolate import griddata, interp1d
from torch import nn

from pyxai import metrics
from pyxai._errors import PyxaiWarning
from pyxai.metrics.information.information_curve import THRESHOLDS, InformationCurves
from pyxai.metrics.information.partial_pictures import blurred, webp_bytes


def model(x):  # the brighter and the more varied, the more of class 0
    score = 40 * x.var((1, 2, 3)) + 2 * x.mean((1, 2, 3))
    return torch.stack([3 * score, torch.ones_like(score)], 1)


def definition(image, scores, mask, min_prediction=0.0):
    """The metric in the order of its description, one channel and one threshold at a time."""

    def blur(known):
        known = known.copy()
        known[[0, 0, -1, -1], [0, -1, 0, -1]] = True
        if known.all():
            return image
        out = image * known[..., None].astype(np.float32)
        at, missing = np.argwhere(known), np.argwhere(~known)
        for c in range(image.shape[2]):
            out[~known, c] = griddata(
                at, image[known][:, c], missing, fill_value=image[..., c].mean()
            )
        return np.round(out).astype(np.uint8)

    def output(picture):
        batch = torch.from_numpy(picture).permute(2, 0, 1)[None].float() / 255
        return torch.softmax(model(batch), 1)[0, 0].item()

    start = blur(mask)
    low_size, full_size = webp_bytes(start), webp_bytes(image)
    low, full = output(start), output(image)
    x, y, best = [], [], 0.0
    for threshold in THRESHOLDS:
        shown = blur((scores >= np.quantile(scores, 1 - threshold)) | mask)
        x.append(np.clip((webp_bytes(shown) - low_size) / (full_size - low_size), 0, 1))
        best = max(best, np.clip((output(shown) - low) / (full - low), 0, 1))
        y.append(best)
    curve = interp1d([*x, 0.0, 1.0], [*y, 0.0, 1.0])
    grid = np.linspace(0, 1, 1000, endpoint=False)
    return np.append(curve(grid), 1.0)


@pytest.mark.parametrize("fast", [False, True])
def test_equals_the_definition(scene, fast):
    images, maps, masks = scene
    curve = metrics.softmax_information_curve(
        model, images, maps, target=0, masks=masks, min_prediction=0.0, fast=fast
    )
    assert curve.skipped == {}
    for i in range(2):
        picture = images[i].permute(1, 2, 0).numpy()
        expected = definition(picture, maps[i].numpy(), masks[i].numpy())
        np.testing.assert_allclose(curve.y[i].numpy(), expected, atol=1e-6)
        assert curve.auc[i].item() == pytest.approx(
            np.trapezoid(expected, curve.x.numpy()), abs=1e-6 if not fast else 1e-3
        )


def test_output_that_is_the_entropy_gives_the_diagonal(scene):
    """If the model returns the file size itself, the curve is y = x and its area one half."""
    images, maps, masks = scene

    def sizes(x):
        pictures = (x * 255).round().to(torch.uint8).permute(0, 2, 3, 1).numpy()
        size = torch.tensor([webp_bytes(p) for p in pictures], dtype=torch.float64)
        p = size / 1e5
        return torch.stack([p.log(), (1 - p).log()], 1)

    curve = metrics.softmax_information_curve(
        sizes, images, maps, target=0, masks=masks, min_prediction=0.0, keep_monotonous=False
    )
    np.testing.assert_allclose(curve.auc.numpy(), 0.5, rtol=1e-12)


def of_contrast(scene):
    """Return a model of class 0 for images of more contrast than between shown and hidden."""
    images, _, masks = scene

    def score(batch):
        return (batch.float() / 255).var((1, 2, 3))

    pictures = [image.permute(1, 2, 0).numpy() for image in images]
    hidden = torch.stack(
        [
            torch.from_numpy(blurred(p, m.numpy())).permute(2, 0, 1)
            for p, m in zip(pictures, masks, strict=True)
        ]
    )
    middle = (score(hidden).max() + score(images).min()) / 2

    def above(x):  # class 0 for a picture of more contrast than halfway
        return torch.stack([x.var((1, 2, 3)) - middle, torch.zeros(len(x))], 1)

    return above


def test_outputs_above_that_of_the_image_count_as_it(scene):
    """The output peaks at the contrast of a picture that is shown before the whole image."""
    images, maps, masks = scene
    images, maps, masks = images[:1], maps[:1], masks[:1]
    peak, seen = [], []

    def near(x):
        contrast = x.double().var((1, 2, 3))
        seen.append(contrast)
        score = -1e3 * (contrast - (peak[0] if peak else 0.0)).abs()
        return torch.stack([score, torch.zeros_like(score)], 1)

    options = {"target": 0, "masks": masks, "min_prediction": 0.0, "keep_monotonous": False}
    InformationCurves(near, images, **options | {"target": 1}).curve(maps)
    full = (images.float() / 255).double().var().item()
    peak.append(max(c for c in torch.cat(seen).tolist() if c < full - 1e-9))
    curve = InformationCurves(near, images, **options).curve(maps)
    assert curve.skipped == {}
    outputs = near(images.float() / 255).softmax(1)[0, 0]
    assert outputs < 0.5  # that of the peak
    assert curve.y.max() == 1
    assert curve.y.min() >= 0


def test_accuracy_curve_steps_from_0_to_1(scene):
    images, maps, masks = scene
    above = of_contrast(scene)
    curve = metrics.accuracy_information_curve(above, images, maps, target=0, masks=masks)
    assert curve.skipped == {}
    assert (curve.y[:, 0] == 0).all()
    assert (curve.y[:, -1] == 1).all()
    assert (curve.y.diff(dim=1) >= -1e-12).all()


def peer_pic():
    """Load the metric of the authors' package without the rest of that package."""
    folder = Path(importlib.util.find_spec("saliency").submodule_search_locations[0])
    spec = importlib.util.spec_from_file_location("pic", folder / "metrics" / "pic.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("output", ["probability", "accuracy"])
def test_equals_the_authors_package(scene, output, monkeypatch):
    monkeypatch.setattr(np, "trapz", np.trapezoid, raising=False)  # gone from NumPy 2
    images, maps, masks = scene
    pic = peer_pic()

    asked = model if output == "probability" else of_contrast(scene)

    def predict(batch):
        logits = asked(torch.from_numpy(batch).permute(0, 3, 1, 2).float() / 255)
        best = (logits.argmax(1) == 0).double()
        return (torch.softmax(logits, 1)[:, 0] if output == "probability" else best).numpy()

    options = {"target": 0, "masks": masks, "min_prediction": 0.0, "fast": False}
    ours = InformationCurves(asked, images, output=output, **options).curve(maps)
    assert ours.skipped == {}
    for i in range(2):
        arguments = (images[i].permute(1, 2, 0).numpy(), maps[i].numpy(), masks[i].numpy())
        theirs = pic.compute_pic_metric(*arguments, predict, THRESHOLDS, min_pred_value=0.0)
        assert ours.auc[i].item() == pytest.approx(theirs.auc, abs=1e-6)
        np.testing.assert_allclose(ours.y[i].numpy(), theirs.curve_y, atol=1e-6)


def test_images_that_the_metric_is_not_defined_for_are_skipped():
    flat = torch.full((3, 40, 40), 128, dtype=torch.uint8)
    images = torch.stack([photograph(), flat])
    maps = torch.rand(2, 40, 40, dtype=torch.float64)
    curve = metrics.softmax_information_curve(model, images, maps, target=0, min_prediction=0.0)
    assert list(curve.skipped) == [1]
    assert "as much information" in curve.skipped[1]
    assert curve.auc[1].isnan()
    assert "1 skipped" in repr(curve)
    torch.testing.assert_close(curve.aggregate("median").y[0], curve.y[0])
    high = metrics.softmax_information_curve(model, images, maps, target=1, min_prediction=0.99)
    assert "is below min_prediction 0.99" in high.skipped[0]
    with pytest.raises(ValueError, match="at least one image that is not skipped"):
        high.aggregate()


def test_methods_share_what_is_prepared(scene):
    images, maps, masks = scene
    prepared = InformationCurves(model, images, target=0, masks=masks, min_prediction=0.0)
    alone = metrics.softmax_information_curve(
        model, images, -maps, target=0, masks=masks, min_prediction=0.0
    )
    torch.testing.assert_close(prepared.curve(-maps).y, alone.y)
    with_channels = prepared.curve((-maps / 3).unsqueeze(1).expand(2, 3, 40, 40))
    torch.testing.assert_close(with_channels.y, alone.y, rtol=1e-6, atol=1e-3)


@pytest.mark.parametrize("kind", ["parameter", "buffer"])
@pytest.mark.parametrize("wrapped", [False, True])
def test_rows_go_to_the_device_of_the_model(scene, kind, wrapped):
    """The device ``meta`` holds no values: what is seen is where the rows of a model come."""
    images, _, masks = scene
    seen = set()

    class Elsewhere(nn.Module):
        def __init__(self):
            super().__init__()
            where = torch.zeros(1, device="meta")
            if kind == "buffer":
                self.register_buffer("where", where)
            else:
                self.where = nn.Parameter(where)

        def forward(self, rows):
            seen.add(rows.device.type)
            return torch.zeros(len(rows), 2)

    net = Elsewhere().eval()
    asked = (lambda rows: net(rows)) if wrapped else net
    with pytest.raises(RuntimeError, match="meta"):  # outputs follow, and have no values either
        InformationCurves(asked, images, target=0, masks=masks)
    assert seen == {"meta"}
    seen.clear()
    InformationCurves(asked, images, target=0, masks=masks, preprocess=lambda rows: rows / 255)
    assert seen == {"cpu"}


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"images": torch.rand(2, 3, 40, 40)}, TypeError, "images must have dtype torch.uint8"),
        (
            {"images": torch.zeros(2, 2, 40, 40, dtype=torch.uint8)},
            ValueError,
            "1, 3 or 4 channels, got 2",
        ),
        (
            {"attributions": torch.rand(2, 39, 40)},
            ValueError,
            r"attributions must have shape \[2, 40, 40\]",
        ),
        (
            {"attributions": torch.full((2, 40, 40), float("nan"))},
            ValueError,
            "attributions must be finite",
        ),
        ({"masks": torch.zeros(2, 40, 40)}, TypeError, "masks must have dtype torch.bool"),
        ({"target": [0, 1, 0]}, ValueError, "target must have 2 entries, got 3"),
        ({"thresholds": (0.5, 0.1)}, ValueError, "thresholds must ascend"),
        ({"thresholds": (0.1, float("nan"), 0.5)}, ValueError, r"thresholds must be in \(0, 1\]"),
        (
            {"attributions": torch.rand(2, 17, 40, 40)},
            ValueError,
            r"or \[2, 1, 40, 40\] or \[2, 3, 40, 40\], got \[2, 17, 40, 40\]",
        ),
        ({"target": True}, TypeError, "target must be one class or one per image, got True"),
        ({"target": "a"}, TypeError, "target must be one class or one per image, got 'a'"),
        ({"output": "accuracy"}, TypeError, "output must not be given, as this metric sets it"),
        ({"min_prediction": float("nan")}, ValueError, "min_prediction must be a number, got nan"),
        (
            {"images": torch.zeros(2, 3, 1, 40, dtype=torch.uint8)},
            ValueError,
            r"images must have a height and a width of at least 2, got \[2, 3, 1, 40\]",
        ),
    ],
)
def test_bad_input_is_named(scene, change, error, message):
    images, maps, _ = scene
    given = {"images": images, "attributions": maps, "target": 0, **change}
    with pytest.raises(error, match=message):
        metrics.softmax_information_curve(model, **given)


def test_accuracy_is_not_another_output(scene):
    images, maps, _ = scene
    with pytest.raises(TypeError, match="output must not be given, as this metric sets it"):
        metrics.accuracy_information_curve(model, images, maps, target=0, output="probability")


def test_maps_may_have_the_channels_that_the_model_gets(scene):
    images, maps, _ = scene
    options = {"target": 0, "min_prediction": 0.0, "preprocess": lambda x: x[:, :2].float() / 255}
    prepared = InformationCurves(model, images, **options)
    two = torch.stack([maps, maps], 1) / 2
    torch.testing.assert_close(prepared.curve(two).y, prepared.curve(maps).y)
    with pytest.raises(ValueError, match=r"\[2, 2, 40, 40\] or \[2, 3, 40, 40\], got \[2, 4"):
        prepared.curve(two.repeat(1, 2, 1, 1))


@pytest.mark.parametrize("output", ["probability", "accuracy"])
def test_a_single_output_is_that_of_a_binary_model(scene, output):
    images, maps, masks = scene

    middle = 0.8 * (images.float() / 255).var((1, 2, 3)).min()

    def above(x):
        return 40 * (x.var((1, 2, 3)) - middle)[:, None]

    def both(x):
        return torch.cat([above(x), torch.zeros(len(x), 1)], 1)

    options = {"target": 0, "masks": masks, "min_prediction": 0.0, "output": output}
    single = InformationCurves(above, images, **options).curve(maps)
    double = InformationCurves(both, images, **options).curve(maps)
    assert single.skipped == double.skipped == {}
    torch.testing.assert_close(single.y, double.y, rtol=1e-5, atol=1e-6)


def test_training_mode_is_named_once(scene):
    images, maps, _ = scene
    noisy = nn.Sequential(nn.Flatten(), nn.Dropout(0.5), nn.Linear(4800, 2))
    with pytest.warns(PyxaiWarning, match="Dropout") as seen:
        metrics.softmax_information_curve(noisy, images, maps, target=0, min_prediction=0.0)
    assert len(seen) == 1


def test_a_curve_of_the_largest_so_far_can_fall():
    """Points are put in order after it, as in the authors' procedure."""
    prepared = object.__new__(InformationCurves)
    prepared.keep_monotonous = True
    prepared._entropy = np.array([[100.0], [0.0]])
    prepared._value = np.array([[1.0], [0.0]])
    sizes, outputs = np.array([80.0, 20.0]), np.array([0.3, 0.6])
    grid = np.array([0.0, 0.2, 0.8, 1.0])
    rising = prepared._interpolated(0, sizes, outputs, grid)
    np.testing.assert_allclose(rising, [0.0, 0.6, 0.3, 1.0])
    outputs = np.array([0.9, 0.6])  # the second counts as 0.9 as well
    np.testing.assert_allclose(prepared._interpolated(0, sizes, outputs, grid)[1:3], [0.9, 0.9])


def test_points_of_the_axis(scene):
    images, maps, masks = scene
    curve = metrics.softmax_information_curve(
        model, images, maps, target=0, masks=masks, min_prediction=0.0, n_points=20
    )
    assert len(curve.x) == 21


def test_masks_of_an_image_do_not_depend_on_its_place(scene):
    images, _, _ = scene
    together = InformationCurves(model, images, target=0, min_prediction=0.0)
    alone = InformationCurves(model, images[1:], target=0, min_prediction=0.0)
    np.testing.assert_array_equal(together.masks[1], alone.masks[0])


def test_no_workers_are_refused(scene):
    with pytest.raises(ValueError, match="workers must be at least 1, got 0"):
        InformationCurves(model, scene[0], target=0, workers=0)


def test_a_plot_of_skipped_images_says_so():
    matplotlib.use("Agg")

    x, y = torch.tensor([0.0, 1.0]).double(), torch.full((2, 2), torch.nan).double()
    skipped = metrics.InformationCurve(x, y, "softmax", skipped={0: "flat", 1: "flat"})
    (entry,) = skipped.plot().get_legend().get_texts()
    assert entry.get_text() == "softmax (no curve: 2 of 2 skipped)"
