"""Attention-aware LRP of transformers models, as input x gradient of models with other gradients.

Every rule is a changed gradient: products of two factors halve it, activations pass ``f(x) / x``
of it, norms hold their deviation fixed, and softmax leaves it as it is. So relevance is the input
times the gradient, without any traced graph.
"""

import contextlib
from unittest import mock

import torch
from torch import nn


class Half(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x.clone()

    @staticmethod
    def backward(ctx, gradient):
        return gradient / 2


class Passed(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, function):
        value = function(x)
        ctx.save_for_backward(value / x)
        return value

    @staticmethod
    def backward(ctx, gradient):
        return gradient * ctx.saved_tensors[0], None


class Attention:
    """Replaces the eager attention of a model; knows what its softmaxes have absorbed."""

    def __init__(self):
        self.absorbed = 0.0

    def _weigh(self, values, sign):
        def hook(gradient):
            part = sign * torch.where(gradient == 0, 0.0, values.detach() * gradient)
            self.absorbed = self.absorbed + part.flatten(1).sum(1)

        if values.requires_grad:
            values.register_hook(hook)

    def __call__(self, module, query, key, value, attention_mask, scaling=None, **_):
        groups = query.shape[1] // key.shape[1]
        key, value = (each.repeat_interleave(groups, 1) for each in (key, value))
        scaling = query.shape[-1] ** -0.5 if scaling is None else scaling
        scores = Half.apply(query @ key.mT) * scaling
        if attention_mask is not None:
            scores = scores + attention_mask
        weights = scores.softmax(-1)
        self._weigh(weights, 1)
        self._weigh(scores, -1)
        return Half.apply(weights @ value).transpose(1, 2).contiguous(), weights


def layer_norm(self, x):
    centred = x - x.mean(-1, keepdim=True)
    deviation = (centred.square().mean(-1, keepdim=True) + self.eps).sqrt().detach()
    return centred / deviation * self.weight + self.bias


def rms_norm(self, x):
    size = (x.square().mean(-1, keepdim=True) + self.variance_epsilon).sqrt().detach()
    return self.weight * (x / size)


def gated_mlp(self, x):
    return self.down_proj(Half.apply(self.act_fn(self.gate_proj(x)) * self.up_proj(x)))


def passing(kind):
    original = kind.forward
    return lambda self, x: Passed.apply(x, lambda given: original(self, given))


@contextlib.contextmanager
def modified(module, attention):
    """Replace what a module of transformers computes with, for models made for eager attention."""
    from transformers import activations

    changes = [(module, "eager_attention_forward", attention)]
    changes += [(nn.LayerNorm, "forward", layer_norm)]
    for kind in (
        nn.Tanh,
        nn.SiLU,
        activations.GELUActivation,
        activations.NewGELUActivation,
        activations.SiLUActivation,
    ):
        changes += [(kind, "forward", passing(kind))]
    if hasattr(module, "LlamaMLP"):
        changes += [(module.LlamaMLP, "forward", gated_mlp)]
        changes += [(module.LlamaRMSNorm, "forward", rms_norm)]
    with contextlib.ExitStack() as stack:
        for change in changes:
            stack.enter_context(mock.patch.object(*change))
        yield
