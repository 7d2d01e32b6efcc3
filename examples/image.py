"""Where does the net look? Three maps of a digit, and a picture of them.

A small convolutional net is trained on the 8 x 8 digits of scikit-learn. Run it with
``python examples/image.py``; it takes seconds and writes ``image.png``.
"""

from __future__ import annotations

import matplotlib.pyplot as plt
import torch

import pyxai
from pyxai import masks, plot
from pyxai.attribution import GradCam, LayerAttribution, NoiseTunnel, Occlusion, Saliency
from pyxai.datasets import digits

torch.manual_seed(0)
images, labels = digits()  # [1797, 1, 8, 8] in [0, 1]
net = torch.nn.Sequential(
    torch.nn.Conv2d(1, 16, 3, padding=1),
    torch.nn.ReLU(),
    torch.nn.Conv2d(16, 16, 3),
    torch.nn.ReLU(),
    torch.nn.Flatten(),
    torch.nn.Linear(16 * 36, 10),
)
optimiser = torch.optim.Adam(net.parameters(), lr=3e-3)
for _ in range(120):
    chosen = torch.randint(1500, (128,))
    optimiser.zero_grad()
    torch.nn.functional.cross_entropy(net(images[chosen]), labels[chosen]).backward()
    optimiser.step()
net.eval()
right = (net(images[1500:]).argmax(1) == labels[1500:]).float().mean()
print(f"right: {right:.3f} of {len(images) - 1500} images")

image = images[1503:1504]
target = net(image).argmax(1)
gradients = pyxai.explain(net, image, method="integrated_gradients", target=target)
print(gradients)
places = ["upper left", "upper right", "lower left", "lower right"]
quarters = gradients.grouped(masks.patches(image, 4), places)
print("by quarters: " + ", ".join(f"{name} {value:+.2f}" for name, value in quarters.top()))
patches = Occlusion(net).attribute(image, sliding_window_shapes=(1, 2, 2), target=target)
coarse = GradCam(net).attribute(image, target=target, relu_attributions=True)
cam = LayerAttribution.interpolate(coarse, (8, 8))
smooth = NoiseTunnel(Saliency(net)).attribute(
    image, nt_samples=20, stdevs=0.1, target=target, seed=0
)

figure, axes = plt.subplots(1, 4, figsize=(12, 3))
maps = {
    "integrated gradients": gradients.attributions,
    "occlusion of 2 x 2 pixels": patches,
    "Grad-CAM": cam,
    "smoothed gradient": smooth,
}
for axis, (title, attributions) in zip(axes, maps.items(), strict=True):
    plot.heatmap(attributions[0], image=image[0], ax=axis)
    axis.set_title(f"{int(target)}: {title}")
figure.savefig("image.png", bbox_inches="tight")
print("wrote image.png")
