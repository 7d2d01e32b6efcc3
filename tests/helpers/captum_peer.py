"""Calling captum 0.9.0 as a peer; its warnings are its own affair."""

import warnings

import torch


def peer(explainer, /, *args, **kwargs):
    """Return what a captum method attributes, without its warnings."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return explainer.attribute(*args, **kwargs)


def detached(value):
    return tuple(part.detach() for part in value) if isinstance(value, tuple) else value.detach()


def assert_equals_captum(ours, theirs, tolerance=1e-6):
    """Compare values to 1e-6, the precision of float32 outputs of size 1."""
    theirs = detached(theirs)
    assert isinstance(ours, tuple) == isinstance(theirs, tuple)
    torch.testing.assert_close(ours, theirs, rtol=tolerance, atol=tolerance, check_dtype=False)


def mlp(dtype=torch.float32, n_features=6, n_classes=3, activation=torch.nn.ReLU):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        layers = [torch.nn.Linear(n_features, 16), activation(), torch.nn.Linear(16, n_classes)]
        return torch.nn.Sequential(*layers).to(dtype).eval()


def conv(dtype=torch.float32):
    """Net for images [batch, 2, 7, 8] with 3 classes."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        layers = [
            torch.nn.Conv2d(2, 4, 3),
            torch.nn.ReLU(),
            torch.nn.MaxPool2d(2),
            torch.nn.Flatten(),
            torch.nn.Linear(24, 3),
        ]
        return torch.nn.Sequential(*layers).to(dtype).eval()


class TwoInputs(torch.nn.Module):
    """Product of a function of [batch, 4] and of one of [batch, 2, 3], with an extra argument."""

    def forward(self, left, right, scale=1.0):
        hidden = left.sin().sum(1, keepdim=True) * right.flatten(1).pow(2)
        return torch.stack([hidden.sum(1), hidden[:, 0], hidden[:, 1] * scale], 1)


def rows(*shape, dtype=torch.float32, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype)
