"""A convolutional net of ReLUs, and images for it."""

import torch
from torch import nn


def convnet(batch_norm=False, bias=False):
    torch.manual_seed(0)
    layers = [nn.Conv2d(2, 4, 3, padding=1, bias=bias)]
    layers += [nn.BatchNorm2d(4)] if batch_norm else []
    layers += [nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(4, 6, 3, bias=bias), nn.ReLU()]
    layers += [nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(24, 3, bias=bias)]
    net = nn.Sequential(*layers).double()
    if batch_norm:
        with torch.no_grad():
            net[1].running_mean.normal_()
            net[1].running_var.uniform_(0.5, 2)
            net[1].weight.normal_()
            net[1].bias.normal_()
    return net.eval()


def images(batch=2):
    return torch.rand(batch, 2, 8, 8, generator=torch.Generator().manual_seed(0)).double()
