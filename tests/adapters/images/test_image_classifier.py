"""Photographs to maps: what the model sees, the numbers by hand and by captum, forms of images."""

import captum.attr
import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from transformers import (
    ConvNextImageProcessorPil,
    ResNetConfig,
    ResNetForImageClassification,
    ViTConfig,
    ViTForImageClassification,
    ViTImageProcessorPil,
)

from pyxai.adapters import ImageClassifier

NAMES = {0: "tabby cat", 1: "dog", 2: "goldfish"}
BYTES = [
    np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)
    for seed, shape in enumerate([(20, 30, 3), (40, 25, 3), (16, 16, 3)])
]
IMAGES = [Image.fromarray(each) for each in BYTES]


def vit():
    config = ViTConfig(
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=24,
        image_size=16,
        patch_size=4,
        id2label=NAMES,
    )
    return ViTForImageClassification(config), ViTImageProcessorPil(size={"height": 16, "width": 16})


def resnet():
    config = ResNetConfig(
        embedding_size=4, hidden_sizes=[4, 8], depths=[1, 1], layer_type="basic", id2label=NAMES
    )
    processor = ConvNextImageProcessorPil(
        size={"shortest_edge": 20}, image_mean=[0.5, 0.4, 0.3], image_std=[0.2, 0.3, 0.4]
    )
    return ResNetForImageClassification(config), processor


@pytest.fixture(scope="module", params=[vit, resnet], ids=["vit", "resnet"])
def parts(request):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model, processor = request.param()
    for module in model.modules():
        if isinstance(module, (nn.Linear, nn.Conv2d)):
            module.weight.data *= 3  # so that scores differ
    return model.eval(), processor


@pytest.fixture(scope="module")
def classifier(parts):
    return ImageClassifier(*parts)


def test_the_model_sees_what_its_processor_makes(parts, classifier):
    model, processor = parts
    for image in IMAGES:
        values = processor(image, return_tensors="pt")["pixel_values"]
        found = classifier.explain(image, method="saliency", target="dog")
        assert found.inputs.min() >= 0
        assert found.inputs.max() <= 1
        mean, std = (
            torch.tensor(each).view(1, -1, 1, 1)
            for each in (processor.image_mean, processor.image_std)
        )
        torch.testing.assert_close((found.inputs - mean) / std, values, rtol=0, atol=1e-5)
        expected = model(values).logits[:, 1]
        torch.testing.assert_close(found.outputs, expected, rtol=0, atol=1e-5)


def test_integrated_gradients_are_those_of_captum_on_standardised_images(parts, classifier):
    """On the way from the mean colour, which is 0 there; the path does not depend on units."""
    model, processor = parts
    values = processor(IMAGES[0], return_tensors="pt")["pixel_values"]
    found = classifier.explain(IMAGES[0], target="goldfish", n_steps=12)
    expected = captum.attr.IntegratedGradients(lambda x: model(x).logits).attribute(
        values, target=2, n_steps=12
    )
    scale = expected.abs().max()
    torch.testing.assert_close(
        found.attributions / scale, expected.float() / scale, rtol=0, atol=1e-5
    )
    assert found.method == "integrated_gradients"
    assert (found.options["label"], found.options["unit"]) == ("goldfish", "pixel")


def test_images_of_several_sizes_get_what_they_get_alone(classifier):
    options = {"method": "feature_ablation", "unit": "patch", "patch_size": 8}
    together = classifier.explain(IMAGES, target=["dog", 2, None], **options)
    assert [one.options["label"] for one in together[:2]] == ["dog", "goldfish"]
    for image, target, one in zip(IMAGES, ("dog", 2, None), together, strict=True):
        alone = classifier.explain(image, target=target, **options)
        torch.testing.assert_close(one.attributions, alone.attributions, rtol=0, atol=1e-6)
        assert one.target == alone.target


def test_a_patch_is_replaced_by_a_colour(parts, classifier):
    """The fall of the score, by hand; all channels of a patch are one player."""
    found = classifier.explain(
        IMAGES[1], method="feature_ablation", target=0, unit="patch", patch_size=8, baseline="black"
    )
    model, processor = parts
    mean, std = (
        torch.tensor(each).view(1, -1, 1, 1) for each in (processor.image_mean, processor.image_std)
    )
    pixels = found.inputs.clone()
    before = model((pixels - mean) / std).logits[0, 0]
    pixels[:, :, 8:16, :8] = 0
    drop = before - model((pixels - mean) / std).logits[0, 0]
    patch = found.attributions[:, :, 8:16, :8]
    torch.testing.assert_close(patch, drop.expand_as(patch), rtol=1e-5, atol=1e-5)
    assert torch.equal(
        classifier.explain(
            IMAGES[1], method="occlusion", target=0, unit="patch", patch_size=8, baseline="black"
        ).attributions,
        found.attributions,
    )


@pytest.mark.parametrize("baseline", ["mean", "white", 0.25, torch.rand(3, 1, 1)])
def test_baselines(parts, classifier, baseline):
    found = classifier.explain(IMAGES[0], target=1, baseline=baseline, n_steps=30)
    white = {"white": 1.0, "mean": torch.tensor(parts[1].image_mean).view(3, 1, 1)}
    expected = white.get(baseline, baseline) if isinstance(baseline, str) else baseline
    whole = torch.as_tensor(expected, dtype=torch.float32).expand(found.inputs.shape)
    assert torch.equal(found.baselines, whole)
    assert found.convergence_delta.abs() < 0.02 * found.attributions.abs().sum()


def test_superpixels_and_segments_of_ones_own(classifier):
    own = torch.arange(16)[:, None].expand(16, 16) // 4
    if classifier.explain(IMAGES[2], method="saliency").inputs.shape[-1] != 16:
        own = torch.arange(20)[:, None].expand(20, 20) // 5
    bars = classifier.explain(IMAGES[2], method="shapley_values", target=0, unit=own)
    rows = bars.attributions[0, 0, :, 0]
    assert len(rows.unique()) <= 4
    assert bars.convergence_delta.abs() < 1e-5
    assert torch.equal(bars.attributions[0, 0], bars.attributions[0, 2])
    halves = np.zeros((30, 30, 3), np.uint8)
    halves[:, 15:, 0] = 255
    found = classifier.explain(
        [halves, halves.swapaxes(0, 1)],
        method="integrated_gradients",
        unit="superpixel",
        n_segments=4,
        target=0,
    )
    for one in found:
        mask = one.options["feature_mask"]
        assert 1 < len(mask.unique()) <= 8
        for number in mask.unique():
            assert len(one.attributions[(mask == number).expand_as(one.inputs)].unique()) == 1


@pytest.mark.parametrize(
    ("method", "options"),
    [
        ("lrp", {}),
        ("deep_lift", {}),
        ("expected_gradients", {}),
        ("grad_cam", {}),
        ("xrai", {"unit": "superpixel", "n_segments": 4}),
        ("kernel_shap", {"unit": "patch", "patch_size": 8, "n_samples": 40}),
        ("greedy_pig", {"unit": "patch", "patch_size": 10}),
    ],
)
def test_methods_of_every_family(classifier, method, options):
    found = classifier.explain(IMAGES[0], method=method, target="dog", **options)
    assert found.attributions.isfinite().all()
    assert found.attributions.abs().max() > 0


def test_layers_by_their_name_in_the_model(parts):
    if not isinstance(parts[0], ResNetForImageClassification):
        return
    name = "resnet.encoder.stages.1"
    found = ImageClassifier(*parts).explain(
        IMAGES[0], method="layer_grad_cam", layer=name, target=0
    )
    assert found.options["layer"] is dict(parts[0].named_modules())[name]
    assert found.attributions.shape[2] < found.inputs.shape[2]


def test_pictures_lie_over_the_image(classifier):
    found = classifier.explain(IMAGES[0], method="input_x_gradient", target="dog")
    for ax in (found.plot(), found.plot("image")):
        assert ax.images[0].get_array().shape[:2] == found.inputs.shape[2:]
        plt.close(ax.figure)


class Mean(nn.Module):
    """Scores that are the mean of each channel, twice."""

    def forward(self, images):
        return torch.cat([images.mean((2, 3)), images.mean((2, 3))], 1)


def seen(images, processor=None, **options):
    classifier = ImageClassifier(Mean(), processor, **options)
    found = classifier.explain(images, method="saliency", target=0)
    return [one.inputs for one in found] if isinstance(found, list) else found.inputs


def test_forms_of_images():
    image = BYTES[0]
    tensor = torch.tensor(image).movedim(2, 0)
    expected = tensor.float()[None] / 255
    assert torch.equal(seen(IMAGES[0]), expected)
    assert torch.equal(seen(image), expected)
    assert torch.equal(seen(tensor), expected)
    torch.testing.assert_close(seen(image / 255), expected)
    torch.testing.assert_close(seen(tensor / 255), expected)
    for several in ([image, IMAGES[0]], np.stack([image, image]), torch.stack([tensor, tensor])):
        first, second = seen(several)
        assert torch.equal(first, expected)
        assert torch.equal(second, expected)
    grey = seen(image[:, :, 0])
    assert grey.shape == expected.shape
    assert torch.equal(grey[:, 0], expected[:, 0])
    assert torch.equal(grey[:, 0], grey[:, 2])


def test_numbers_from_0_to_1_are_not_scaled_again(parts):
    model, processor = parts
    classifier = ImageClassifier(model, processor)
    ours = classifier.explain(BYTES[0] / 255, method="saliency", target=0).inputs
    theirs = classifier.explain(BYTES[0], method="saliency", target=0).inputs
    torch.testing.assert_close(ours, theirs, rtol=0, atol=0.01)  # bytes are rounded on the way


def test_models_of_grey_images():
    model = Mean()
    model.config = type("Config", (), {"num_channels": 1, "id2label": None})()
    classifier = ImageClassifier(model, None)
    found = classifier.explain(IMAGES[0], method="saliency", target=0)
    assert torch.equal(
        found.inputs[0, 0], torch.tensor(np.array(IMAGES[0].convert("L"))).float() / 255
    )
    with pytest.raises(ValueError, match="images must be grey for the model, got 3 channels"):
        classifier.explain(BYTES[0] / 255, method="saliency", target=0)


def test_a_function_may_cut_images():
    def half(image):
        small = np.asarray(image.resize((4, 4)), dtype=np.float32) / 255
        return torch.tensor(small).movedim(2, 0)

    classifier = ImageClassifier(
        Mean(), half, mean=(0.5, 0.5, 0.5), std=0.25, labels=list("abcdef")
    )
    found = classifier.explain(IMAGES[0], method="integrated_gradients", target="b")
    assert found.inputs.shape == (1, 3, 4, 4)
    expected = (found.inputs - 0.5) / 0.25 / 16
    torch.testing.assert_close(found.attributions[:, 1], expected[:, 1])
    assert not found.attributions[:, 0].any()
    with pytest.raises(TypeError, match="PIL images or bytes for a processor that is a function"):
        classifier.explain(BYTES[0] / 255)


def test_the_model_is_left_as_found(parts):
    model, processor = parts
    before = [(name, each.training) for name, each in model.named_modules()]
    keys, state = list(model.state_dict()), torch.get_rng_state()
    classifier = ImageClassifier(model, processor)
    classifier.explain(IMAGES[0], method="integrated_gradients", target=0)
    with pytest.raises(ValueError, match="target must be a label"):
        classifier.explain(IMAGES[0], target="cow")
    assert [(name, each.training) for name, each in model.named_modules()] == before
    assert list(model.state_dict()) == keys
    assert all(each.requires_grad and each.grad is None for each in model.parameters())
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize(
    ("images", "error", "message"),
    [
        ("cat.png", TypeError, "images must be a PIL image, an array .*, got 'cat.png'"),
        ([], ValueError, "images must hold at least one image, got none"),
        ([IMAGES[0], 3], TypeError, r"images\[1\] must be a PIL image"),
        (np.zeros((3, 8, 8), np.uint8), ValueError, r"\[height, width, 3\] or .*, got \[3, 8, 8\]"),
        (torch.zeros(8, 8, 3), ValueError, r"\[3, height, width\] or .* as a tensor.*\[8, 8, 3\]"),
        (np.zeros((8, 8, 3), np.int64), TypeError, r"bytes \(uint8\) or fractions, got int64"),
        (np.full((8, 8, 3), 200.0), ValueError, "numbers from 0 to 1, or bytes .* got 200 to 200"),
        (np.full((8, 8, 3), np.nan), ValueError, "numbers from 0 to 1"),
        (np.zeros((0, 8, 3), np.uint8), ValueError, r"got \[0, 8, 3\]"),
        (IMAGES[0].convert("RGBA"), ValueError, "no transparent pixels, got mode RGBA"),
        (IMAGES[0].convert("F"), ValueError, "of 8 bits for each channel, got mode F"),
    ],
)
def test_refused_images(images, error, message):
    with pytest.raises(error, match=message):
        ImageClassifier(Mean(), None).explain(images, target=0)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"target": "dogs"}, ValueError, "label of the model, got 'dogs'; did you mean 'dog'"),
        ({"target": 7}, ValueError, "target must be from 0 to"),
        ({"target": [0, 1]}, ValueError, "one for all images or one for each of 1, got 2"),
        (
            {"unit": "word"},
            ValueError,
            "unit must be one of 'pixel', 'patch', 'superpixel', got 'wo",
        ),
        ({"baseline": "grey"}, ValueError, "baseline must be one of 'mean', 'black', 'white', got"),
        ({"baseline": True}, TypeError, "baseline must be a colour by name, a number or a tensor"),
        ({"baseline": torch.zeros(5, 5)}, ValueError, "baseline must be a number or have shape"),
        ({"baseline": "black", "method": "lrp"}, ValueError, "left out for lrp, which takes none"),
        ({"method": "shaply"}, ValueError, "method must be one of"),
        ({"method": 3}, TypeError, "method must be a name or a registered class, got 3"),
        ({"baselines": 0}, TypeError, "options must not hold baselines: baseline says"),
        ({"feature_mask": 0}, TypeError, "options must not hold feature_mask: unit says"),
        ({"method": "layer_grad_cam", "layer": "stage"}, ValueError, "layer must be a name among"),
        ({"unit": "patch", "patch_size": 0}, ValueError, "patch_size must be at least 1"),
        (
            {"unit": "patch", "patch_size": 99},
            ValueError,
            "size must be at most that of the images",
        ),
    ],
)
def test_refused_questions(classifier, options, error, message):
    with pytest.raises(error, match=message):
        classifier.explain(IMAGES[0], **options)


@pytest.mark.parametrize(
    ("processor", "options", "error", "message"),
    [
        (3, {}, TypeError, "processor must be callable, got 3"),
        (None, {"std": 0}, ValueError, "std must be positive"),
        (None, {"mean": (1, 2)}, ValueError, "mean must have a number for each of 3 channels"),
        (ViTImageProcessorPil(do_rescale=False), {}, ValueError, "do_rescale=False"),
        (ViTImageProcessorPil(rescale_factor=1 / 127.5), {}, ValueError, "rescale_factor=0.007843"),
    ],
)
def test_refused_processors(processor, options, error, message):
    with pytest.raises(error, match=message):
        ImageClassifier(Mean(), processor, **options)


@pytest.mark.parametrize(
    ("processor", "message"),
    [
        (np.asarray, r"must make a tensor \[3, height, width\], got a ndarray"),
        (lambda image: torch.zeros(1, 3, 8, 8), r"must make a tensor \[3, height, width\]"),
        (
            lambda image: torch.full((3, 8, 8), -2.0),
            "pixels from 0 to 1, got -2 to -2; colours are",
        ),
    ],
)
def test_what_a_processor_makes(processor, message):
    with pytest.raises(ValueError, match=message):
        ImageClassifier(Mean(), processor).explain(IMAGES[0], target=0)


def test_a_model_of_something_else():
    with pytest.raises(TypeError, match=r"model must be an nn\.Module"):
        ImageClassifier(lambda x: x, None)
    with pytest.raises(ValueError, match=r"logits of shape \[batch, classes\]"):
        ImageClassifier(nn.Identity(), None).explain(IMAGES[0])
