"""A small part of a photograph that comes with scikit-learn."""

import torch


def photograph(size=40, channels=3):
    from sklearn.datasets import load_sample_image

    image = load_sample_image("china.jpg")[100 : 100 + size, 200 : 200 + size]
    return torch.from_numpy(image.copy()).permute(2, 0, 1)[:channels]
