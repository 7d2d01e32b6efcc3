"""What the authors' package of Guided IG, Blur IG and XRAI asks of a model."""

import numpy as np
import torch


def gradient_of(model, target, channels_last=False):
    """The function of a batch that the authors' package asks for gradients."""

    def call(batch, call_model_args=None, expected_keys=None):
        x = torch.from_numpy(np.asarray(batch, dtype=np.float64))
        x = (x.permute(0, 3, 1, 2) if channels_last else x).requires_grad_()
        gradient = torch.autograd.grad(model(x)[:, target].sum(), x)[0]
        gradient = gradient.permute(0, 2, 3, 1) if channels_last else gradient
        return {"INPUT_OUTPUT_GRADIENTS": gradient.numpy()}

    return call
