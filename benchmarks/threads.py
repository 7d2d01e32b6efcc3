"""Call methods from many threads, on models that they share and on new ones; count what differs.

`python benchmarks/threads.py --seconds 60 --threads 8` prints how many calls were made and what
those that failed said; it exits with 1 if a result differs from the serial one, or the models from
what they were. `tests/tracing/exporting/test_alone.py` has the same in small.
"""

from __future__ import annotations

import argparse
import collections
import copy
import random
import sys
import threading
import time
import warnings
from collections.abc import Callable

import torch
from torch import Tensor, nn

from pyxai import attribution as at
from pyxai.decomposition import ContextualDecomposition

D = torch.float64
X, BASELINES = (
    torch.randn(rows, 6, dtype=D, generator=torch.Generator().manual_seed(rows)) for rows in (3, 4)
)


class Normed(nn.Module):
    """Functional calls and batch norm."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm, self.last = nn.Linear(6, 8), nn.BatchNorm1d(8), nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        """Return [rows, 3]."""
        return self.last(torch.relu(self.norm(self.first(x))) * 1.5)


class Tied(nn.Module):
    """One layer under two names."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.relu, self.last = nn.Linear(6, 6), nn.ReLU(), nn.Linear(6, 3)
        self.again = self.first

    def forward(self, x: Tensor) -> Tensor:
        """Return [rows, 3]."""
        return self.last(torch.tanh(self.again(self.relu(self.first(x)))))


def plain() -> nn.Module:
    return nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 8), nn.Tanh(), nn.Linear(8, 3))


def build(seed: int) -> nn.Module:
    """Return one of three kinds of models."""
    torch.manual_seed(seed)
    return (plain, Normed, Tied)[seed % 3]().to(D).eval()


def on_last_layer(model: nn.Module) -> Tensor:
    layer = [module for module in model.modules() if isinstance(module, nn.Linear)][-1]
    return at.LayerGradCam(model, layer).attribute(X, target=1)


METHODS: dict[str, Callable[[nn.Module], Tensor]] = {
    "contextual_decomposition": lambda m: ContextualDecomposition(m).attribute(X, target=1),
    "deconvolution": lambda m: at.Deconvolution(m).attribute(X, target=1),
    "deep_lift": lambda m: at.DeepLift(m).attribute(X, target=1),
    "deep_lift_shap": lambda m: at.DeepLiftShap(m).attribute(X, BASELINES, target=1),
    "feature_ablation": lambda m: at.FeatureAblation(m).attribute(X, target=1),
    "gradient_shap": lambda m: at.GradientShap(m).attribute(X, BASELINES, target=1, seed=3),
    "guided_backprop": lambda m: at.GuidedBackprop(m).attribute(X, target=1),
    "integrated_gradients": lambda m: at.IntegratedGradients(m).attribute(X, target=1),
    "layer_grad_cam": on_last_layer,
    "lrp": lambda m: at.LRP(m).attribute(X, target=1),
    "noise_tunnel": lambda m: at.NoiseTunnel(at.Saliency(m)).attribute(X, target=1, seed=1),
    "saliency": lambda m: at.Saliency(m).attribute(X, target=1),
}


class Calls:
    """Calls of random methods on random models until a time, and what was wrong with them."""

    def __init__(self, n_models: int, until: float) -> None:
        self.until = until
        self.models = [build(seed) for seed in range(n_models)]
        self.templates = copy.deepcopy(self.models)
        self.want = [
            {name: method(copy.deepcopy(model)) for name, method in METHODS.items()}
            for model in self.models
        ]
        self.made = 0
        self.wrong: collections.Counter[str] = collections.Counter()
        self._lock = threading.Lock()

    def make(self, seed: int) -> None:
        """Make calls in one thread."""
        draw = random.Random(seed)
        while time.monotonic() < self.until:
            place, name = draw.randrange(len(self.models)), draw.choice(list(METHODS))
            shared = draw.random() < 0.6
            model = self.models[place] if shared else copy.deepcopy(self.templates[place])
            said = self._wrong(name, model, self.want[place][name])
            with self._lock:
                self.made += 1
                if said:
                    self.wrong[f"{name}: {said}"] += 1

    def _wrong(self, name: str, model: nn.Module, want: Tensor) -> str:
        try:
            given = METHODS[name](model)
        except Exception as error:
            return f"{type(error).__name__}: {str(error)[:100]}"
        return "" if torch.allclose(given, want, rtol=1e-9, atol=1e-12) else "another result"

    def changed(self) -> int:
        """Count the shared models that are not as they were."""
        count = 0
        for model, template in zip(self.models, self.templates, strict=True):
            now, before = model.state_dict(), template.state_dict()
            same = all(torch.equal(now[name], before[name]) for name in before)
            count += not (same and all(p.requires_grad for p in model.parameters()))
        return count


def main() -> int:
    """Run, print, and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--threads", type=int, default=8)
    parser.add_argument("--models", type=int, default=9)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    calls = Calls(options.models, 0)
    calls.until = time.monotonic() + options.seconds
    threads = [threading.Thread(target=calls.make, args=(k,)) for k in range(options.threads)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    wrong, changed = sum(calls.wrong.values()), calls.changed()
    print(f"{calls.made} calls from {options.threads} threads: {wrong} wrong")
    print(f"{changed} of {options.models} models changed")
    for said, count in calls.wrong.most_common(10):
        print(f"  {count} x {said}")
    return int(bool(wrong or changed))


if __name__ == "__main__":
    sys.exit(main())
