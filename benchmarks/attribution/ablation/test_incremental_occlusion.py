"""Occlusion of conv nets by windows against the direct way, 16 pixels at a time, one thread.

Random weights; one image. The claims are a third of the direct way's time for a net of the shape of
VGG-16 at 128 pixels, a fifth at 224, and half for one of ResNet-18 at 224.
"""

import time

import pytest
import torch
from deep_nets import resnet18
from torch import nn

from pyxai._timing import time_call
from pyxai.attribution import Occlusion

WIDTHS = ((64, 64), (128, 128), (256,) * 3, (512,) * 3, (512,) * 3)
PATCH = 16


def vgg16(size):
    layers, last = [], 3
    for widths in WIDTHS:
        for width in widths:
            layers += [nn.Conv2d(last, width, 3, padding=1), nn.ReLU(inplace=True)]
            last = width
        layers.append(nn.MaxPool2d(2))
    layers += [nn.Flatten(), nn.Linear(last * (size // 32) ** 2, 4096), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(4096, 4096), nn.ReLU(), nn.Linear(4096, 1000))


# The direct way is timed on so many rows of patches, as it takes as long for each.
NETS = {
    "resnet18-224": (lambda size: resnet18(64, 1000), 224, 14),
    "vgg16-128": (vgg16, 128, 8),
    "vgg16-224": (vgg16, 224, 2),
}


@pytest.mark.parametrize("name", NETS)
def test_incremental_occlusion(benchmark, name):
    torch.set_num_threads(1)
    torch.manual_seed(0)
    make, size, n_rows = NETS[name]
    model, x = make(size).eval(), torch.randn(1, 3, size, size)
    for module in model.modules():  # torch's own start lets a deep net forget its input
        if isinstance(module, (nn.Conv2d, nn.Linear)):
            nn.init.kaiming_normal_(module.weight)
    occlusion, window, found = Occlusion(model), (3, PATCH, PATCH), {}
    edge = n_rows * PATCH
    some = x.clone()  # patches that are at their baseline take no row
    some[:, :, :edge] = 0

    def ours():
        found["ours"] = occlusion.attribute(x, window, window, target=0)

    def direct():
        found["direct"] = occlusion.attribute(x, window, window, some, target=0, fast_path=False)

    start = time.process_time()
    ours()  # traced, and its arithmetic counted: once for a model and a size of images
    first = time.process_time() - start
    here = torch.device("cpu")
    theirs = time_call(direct, here)
    own = benchmark.pedantic(time_call, args=(ours, here), rounds=1)
    across = size // PATCH
    share = (1 + across**2) / (1 + across * n_rows)
    with torch.no_grad():
        scale = model(x).abs().max()
    apart = (found["ours"] - found["direct"])[:, :, :edge].abs().max() / scale
    assert found["direct"].abs().max() > 0
    assert apart <= 1e-5
    benchmark.extra_info.update(
        {
            "ours / direct": round(own.wall / theirs.wall / share, 3),
            "processor time, ours / direct": round(own.processor / theirs.processor / share, 3),
            "ms ours": round(1e3 * own.wall),
            "ms direct": round(1e3 * theirs.wall * share),
            "patches of the direct way": f"{across * n_rows} of {across**2}",
            "processor seconds, first call": round(first, 1),
            "largest difference / largest output": float(apart),
            "largest attribution / largest output": float(found["direct"].abs().max() / scale),
        }
    )
