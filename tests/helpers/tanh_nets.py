"""Small tanh nets on tables, and rows to ask them about."""

import torch


def mlp(n_features, n_outputs=2, dtype=torch.float64, seed=0):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        layers = torch.nn.Linear(n_features, 24), torch.nn.Tanh(), torch.nn.Linear(24, n_outputs)
    return torch.nn.Sequential(*layers).to(dtype).eval()


def steep_mlp(n_features, n_outputs=1, seed=0):
    """Net whose features interact strongly: most of its units are saturated."""
    net = mlp(n_features, n_outputs, seed=seed)
    with torch.no_grad():
        net[0].weight.mul_(3)
    return net


def rows(batch, n_features, seed=1, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(batch, n_features, generator=generator, dtype=torch.float64).to(dtype)
