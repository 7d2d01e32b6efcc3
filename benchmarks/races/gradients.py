"""Methods of gradients: one pass, paths and samples."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from captum import attr as captum
from torch import Tensor

from pyxai import attribution
from races.case import Call, Case, Race, Task, Tuned
from races.peers import OneOutput, pair, pair_rows, quiet, shap
from races.references import bare_passes, gradients, in_float64, integrated

ALL = ("tabular MLP", "digits CNN", "ResNet-18, 64 px", "transformer", "ResNet-18, 224 px")
IMAGES = ("digits CNN", "ResNet-18, 64 px", "ResNet-18, 224 px")


def of_ours(name: str, task: Task, layer: bool = False, **options: Any) -> Call:
    method = getattr(attribution, name)(task.model, *([task.layer] if layer else []))
    return lambda: method.attribute(task.inputs, **task.call(**options))


def of_captum(name: str, task: Task, layer: bool = False, **options: Any) -> Call:
    """Return a call of captum's class of the same name, with the same arguments."""
    task = task.twin
    method = quiet(getattr(captum, name))(task.model, *([task.layer] if layer else []))
    return lambda: quiet(method.attribute)(task.inputs, **task.call(**options))


def captum_in_float64(name: str, task: Task, layer: bool = False, **options: Any) -> Call:
    def run() -> Any:
        wide = in_float64(task)
        options.update({k: v.double() for k, v in options.items() if _floats(v)})
        return of_captum(name, wide, layer, **options)()

    return run


def ours_in_float64(name: str, task: Task, layer: bool = False, **options: Any) -> Call:
    def run() -> Any:
        wide = in_float64(task)
        options.update({k: v.double() for k, v in options.items() if _floats(v)})
        return of_ours(name, wide, layer, **options)()

    return run


def _floats(value: Any) -> bool:
    return isinstance(value, Tensor) and value.is_floating_point()


# One pass.


def saliency(task: Task) -> Race:
    leaf = task.inputs

    def loop() -> Tensor:
        return gradients(task, leaf).abs()

    peers: dict[str, Call] = {"captum": of_captum("Saliency", task)}
    if task.inputs.dim() == 4 and pair is not None:

        def by_pair() -> Tensor:
            return pair_rows(task, lambda x, call: pair.GradientSaliency().GetMask(x, call)).abs()

        peers["PAIR saliency"] = by_pair
    small = task.inputs.numel() < 100
    return Race(
        of_ours("Saliency", task),
        peers,
        {"a plain loop of torch": loop},
        {"a float64 gradient": lambda: gradients(in_float64(task), leaf.double()).abs()},
        counted=task,
        note="checks and the state of the model are the rest of a small call" if small else "",
    )


def input_x_gradient(task: Task) -> Race:
    x = task.inputs
    return Race(
        of_ours("InputXGradient", task),
        {"captum": of_captum("InputXGradient", task)},
        {"a plain loop of torch": lambda: x * gradients(task, x)},
        {"a float64 gradient": lambda: x.double() * gradients(in_float64(task), x.double())},
        counted=task,
    )


def modified(name: str) -> Callable[[Task], Race]:
    """Gradients whose ReLUs act otherwise."""

    def prepare(task: Task) -> Race:
        return Race(
            of_ours(name, task),
            {"captum": of_captum(name, task)},
            {"a plain gradient": lambda: gradients(task, task.inputs)},
            {
                "captum in float64": captum_in_float64(name, task),
                "ours in float64": ours_in_float64(name, task),
            },
            counted=task,
        )

    return prepare


def by_layer(name: str) -> Callable[[Task], Race]:
    """Grad-CAM and what is made of it."""

    def prepare(task: Task) -> Race:
        return Race(
            of_ours(name, task, layer=True),
            {"captum": of_captum(name, task, layer=True)},
            {"a plain gradient": lambda: gradients(task, task.inputs)},
            {
                "captum in float64": captum_in_float64(name, task, layer=True),
                "ours in float64": ours_in_float64(name, task, layer=True),
            },
            counted=task,
        )

    return prepare


# Paths.


def steps(task: Task) -> int:
    return int(task.pick(10 if "px" in task.name else 32, 50))


def integrated_gradients(task: Task) -> Race:
    n = steps(task)
    batch = len(task.inputs)
    sizes = tuple(size * batch for size in (4, 16) if size < n)

    def tuned(size: int) -> Call:
        return of_captum("IntegratedGradients", task, n_steps=n, internal_batch_size=size)

    peers: dict[str, Call | Tuned] = {
        "captum, defaults": of_captum("IntegratedGradients", task, n_steps=n),
        "captum, best batch": Tuned(tuned, (*sizes, n * batch)),
    }
    if pair is not None and not task.extra:
        peers["PAIR saliency, defaults"] = lambda: pair_rows(task, by_pair(n, 1))
        peers["PAIR saliency, best batch"] = Tuned(
            lambda size: lambda: pair_rows(task, by_pair(n, size)), (8, n)
        )
    return Race(
        of_ours("IntegratedGradients", task, n_steps=n),
        peers,
        {"bare model": bare_passes(task, n, backward=True)},
        {"the same nodes in float64": lambda: integrated(task, n)},
        counted=task,
    )


def by_pair(n: int, size: int) -> Callable[[Any, Any], Any]:
    method = pair.IntegratedGradients()
    return lambda x, call: method.GetMask(
        x, call, x_baseline=np.zeros_like(x), x_steps=n, batch_size=size
    )


def guided_ig(task: Task) -> Race:
    n = int(task.pick(16, 200))
    options = {"n_steps": n, "baselines": torch.zeros_like(task.inputs)}

    def theirs(model: Any = None) -> Tensor:
        return pair_rows(
            task,
            lambda x, call: pair.GuidedIG().GetMask(
                x, call, x_baseline=np.zeros_like(x), x_steps=n
            ),
            model,
        )

    return Race(
        of_ours("GuidedIG", task, **options),
        {} if pair is None else {"PAIR saliency": theirs},
        {"bare model": bare_passes(task, n, backward=True)},
        {} if pair is None else {"theirs in float64": lambda: theirs(in_float64(task).model)},
        tolerance=1e-2,  # which feature comes next hangs on the last digit of a gradient
        counted=task,
    )


def blur_ig(task: Task) -> Race:
    n = int(task.pick(8, 50))
    widest = 5.0
    ours = of_ours("BlurIG", task, n_steps=n, max_sigma=widest)

    def theirs(size: int = 1, model: Any = None) -> Tensor:
        method = pair.BlurIG()
        return pair_rows(
            task,
            lambda x, call: method.GetMask(x, call, max_sigma=widest, steps=n, batch_size=size),
            model,
        )

    peers: dict[str, Call | Tuned] = {}
    if pair is not None:
        peers = {
            "PAIR saliency, defaults": theirs,
            "PAIR saliency, best batch": Tuned(lambda size: lambda: theirs(size), (4, n)),
        }
    return Race(
        ours,
        peers,
        {"bare model": bare_passes(task, n, backward=True)},
        {} if pair is None else {"theirs in float64": lambda: theirs(4, in_float64(task).model)},
        tolerance=1e-3,  # a difference of two blurs, over the hundredth of a pixel
        counted=task,
    )


def alone(name: str, passes: Callable[[Task], int], **options: Any) -> Callable[[Task], Race]:
    """A method that no peer has, against the bare model on as many gradients."""

    def prepare(task: Task) -> Race:
        return Race(
            of_ours(name, task, **options),
            {},
            {"bare model": bare_passes(task, passes(task), backward=True)},
            {"ours in float64": ours_in_float64(name, task, **options)},
            tolerance=1e-3,
            counted=task,
        )

    return prepare


def greedy_pig(task: Task) -> Race:
    """Ranks, so that ties in float32 may move a few of them: the tolerance is one of ranks."""
    n_features = task.inputs[0].numel()
    count = 4 * (1 + int(np.ceil(np.log2(n_features))))
    return Race(
        of_ours("GreedyPIG", task, n_steps=4),
        {},
        {"bare model": bare_passes(task, count, backward=True)},
        {"ours in float64": ours_in_float64("GreedyPIG", task, n_steps=4)},
        tolerance=0.05,
        counted=task,
    )


# Samples.


def gradient_shap(task: Task) -> Race:
    n = int(task.pick(10 if "px" in task.name else 50, 50))
    options = {"baselines": task.background, "n_samples": n}
    peers = {"captum": of_captum("GradientShap", task, **options)}
    if not task.extra:
        net = OneOutput(task.twin.model, task.target)
        explainer = quiet(shap.GradientExplainer)(net, task.background, batch_size=n)

        def by_shap() -> Tensor:
            found = quiet(explainer.shap_values)(task.inputs, nsamples=n)
            return torch.as_tensor(found).reshape(task.inputs.shape)

        peers["shap, best batch"] = by_shap
    return Race(
        of_ours("GradientShap", task, **options),
        peers,
        {"bare model": bare_passes(task, n, backward=True)},
        {"the expectation in float64": lambda: integrated(task, 16, task.background)},
        sampled=True,
        counted=task,
    )


def expected_gradients(task: Task) -> Race:
    n = int(task.pick(4, 16))
    options = {"baselines": task.background, "n_steps": n}
    count = n * len(task.background)
    theirs = of_captum("GradientShap", task, baselines=task.background, n_samples=count)
    return Race(
        of_ours("ExpectedGradients", task, **options),
        {"captum's GradientShap of as many gradients": theirs},
        {"bare model": bare_passes(task, count, backward=True)},
        {"the same nodes in float64": lambda: integrated(task, n, task.background)},
        counted=task,
    )


def noise_tunnel(task: Task) -> Race:
    n, width = int(task.pick(10, 50)), 0.2
    options = {"nt_samples": n, "stdevs": width}
    ours = attribution.NoiseTunnel(attribution.Saliency(task.model))
    theirs = quiet(captum.NoiseTunnel)(captum.Saliency(task.twin.model))

    def by_captum(size: int | None) -> Call:
        given = task.call(nt_samples_batch_size=size, abs=False, **options)
        return lambda: quiet(theirs.attribute)(task.inputs, **given)

    def expectation() -> Tensor:
        wide, generator = in_float64(task), torch.Generator().manual_seed(0)
        total = torch.zeros_like(wide.inputs)
        count = 20 * n  # of which the error is a fifth of that of those who draw n
        for _ in range(count):
            noise = torch.randn(total.shape, generator=generator, dtype=torch.float64)
            total += gradients(wide, wide.inputs + width * noise)
        return total / count

    return Race(
        lambda: ours.attribute(task.inputs, **task.call(abs=False, **options)),
        {
            "captum, defaults": by_captum(None),
            "captum, best batch": Tuned(by_captum, (1, max(1, n // 4), n)),
        },
        {"bare model": bare_passes(task, n, backward=True)},
        {"many samples in float64": expectation},
        sampled=True,
        counted=task,
    )


def functional_information(task: Task) -> Race:
    n, scale = int(task.pick(30, 100)), 0.15
    method = attribution.FunctionalInformation(task.model)
    options = {"n_samples": n, "scale": scale, "noise": "isotropic", "antithetic": False}

    def probability(model: Any, rows: Tensor) -> tuple[Tensor, Tensor]:
        leaf = rows.detach().requires_grad_()
        f = model(leaf).softmax(1)[:, task.target]
        return torch.autograd.grad(f.sum(), leaf)[0], f.detach()

    def one_at_a_time(wide: Task, count: int) -> Tensor:
        generator = torch.Generator().manual_seed(1)
        total = torch.zeros_like(wide.inputs)
        for image, row in enumerate(wide.inputs):
            for _ in range(count):
                noise = torch.randn(row.shape, generator=generator, dtype=row.dtype)
                grad, f = probability(wide.model, (row + scale * noise)[None])
                total[image] += (grad**2 / f)[0] / count
        return total

    def expectation() -> Tensor:
        wide, generator = in_float64(task), torch.Generator().manual_seed(2)
        total, count = torch.zeros_like(wide.inputs), int(task.pick(300, 2000))
        for _ in range(count):
            noise = torch.randn(total.shape, generator=generator, dtype=torch.float64)
            grad, f = probability(wide.model, wide.inputs + scale * noise)
            total += grad**2 / f[:, None, None, None] / count
        return total

    return Race(
        lambda: method.attribute(task.inputs, task.target, **options),
        {"one noisy image at a time": lambda: one_at_a_time(task, n)},
        {"bare model": bare_passes(task, n, backward=True)},
        {"many samples in float64": expectation},
        sampled=True,
        counted=task,
    )


def layer_integrated_gradients(task: Task) -> Race:
    """Word numbers at the embeddings, as captum's tutorial of BERT has it."""
    from pretrained_encoder import classifier_and_words

    words = classifier_and_words(["the movie was surprisingly good"])[1]
    kept = (words == 101) | (words == 102)
    n = int(task.pick(16, 50))
    given = task.call(baselines=torch.where(kept, words, 0), n_steps=n)
    copied: Any = task.twin.model
    ours = attribution.LayerIntegratedGradients(task.model, "bert.embeddings")
    theirs = quiet(captum.LayerIntegratedGradients)(copied, copied.bert.embeddings)

    def in_double() -> Any:
        wide = in_float64(task).model
        method = quiet(captum.LayerIntegratedGradients)(wide, wide.bert.embeddings)
        return quiet(method.attribute)(words, **given)

    return Race(
        lambda: ours.attribute(words, **given),
        {"captum": lambda: quiet(theirs.attribute)(words, **given)},
        {"bare model": bare_passes(task, n, backward=True)},
        {"captum in float64": in_double},
        counted=task,
    )


def on(method: str, prepare: Callable[[Task], Race], *nets: str) -> list[Case]:
    return [Case(method, net, prepare) for net in nets]


CASES = [
    *on("saliency", saliency, *ALL),
    *on("integrated gradients", integrated_gradients, *ALL),
    *on("gradient SHAP", gradient_shap, "tabular MLP", "digits CNN", "ResNet-18, 64 px"),
    *on("input x gradient", input_x_gradient, "tabular MLP", "digits CNN", "transformer"),
    *on("guided backprop", modified("GuidedBackprop"), *IMAGES),
    *on("deconvolution", modified("Deconvolution"), "digits CNN"),
    *on("Grad-CAM", by_layer("LayerGradCam"), *IMAGES),
    *on("guided Grad-CAM", by_layer("GuidedGradCam"), "digits CNN", "ResNet-18, 64 px"),
    *on("guided IG", guided_ig, "tabular MLP", "digits CNN"),
    *on("blur IG", blur_ig, "digits CNN", "ResNet-18, 64 px"),
    *on("IDGI", alone("IDGI", lambda _: 16, n_steps=16), "tabular MLP", "digits CNN"),
    *on("Greedy PIG", greedy_pig, "tabular MLP", "digits CNN"),
    *on("expected gradients", expected_gradients, "tabular MLP", "digits CNN"),
    *on("noise tunnel", noise_tunnel, "tabular MLP", "digits CNN", "ResNet-18, 64 px"),
    *on("functional information", functional_information, "digits CNN"),
    *on("layer integrated gradients", layer_integrated_gradients, "transformer"),
]
