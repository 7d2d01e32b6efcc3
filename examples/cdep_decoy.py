"""Train digits with a square whose grey gives the class away, so that it does not matter.

In the test set the greys are reversed. Squares lie in one of the four corners, and these are the
group that is penalised. Digits miss some of
their segments and have noise on them, so that the square is the easier thing to look at [1].
The digits are drawn, not those of MNIST; all epochs are the same for all methods, none is chosen.

    python examples/cdep_decoy.py             # minutes on one core, prints cdep_decoy.txt

[1] L. Rieger, C. Singh, W. J. Murdoch, B. Yu, "Interpretations are Useful: Penalizing Explanations
to Align Neural Networks with Prior Knowledge", ICML 2020, section 4.3.
"""

import argparse

import torch
from penalised_training import accuracy, draw_digits, make_net, train

from pyxai.decomposition import cdep_loss, expected_gradients_loss, rrr_loss

CORNERS = torch.zeros(1, 1, 1, 28, 28)
CORNERS[..., :5, :5] = CORNERS[..., :5, -5:] = CORNERS[..., -5:, :5] = CORNERS[..., -5:, -5:] = 1


def with_squares(images, labels, seed, *, reverse=False):
    """Return [n, 1, 28, 28] in [-1, 1] with a 5 x 5 square in one corner, 25 levels a class."""
    rng = torch.Generator().manual_seed(seed)
    corners = torch.randint(4, (len(images),), generator=rng)
    greys = (25 * labels if reverse else 255 - 25 * labels) / 255
    images = images.clone()
    for image, corner, grey in zip(images, corners.tolist(), greys, strict=True):
        top, left = 23 * (corner // 2), 23 * (corner % 2)
        image[top : top + 5, left : left + 5] = grey
    return 2 * images.unsqueeze(1) - 1


def make_data(size, seed):
    """Return images and labels to train on, and to test with reversed and with the same greys."""
    parts = {}
    for number, (name, count) in enumerate({"train": size, "reversed": 1000, "same": 1000}.items()):
        images, labels = draw_digits(count, 10 * seed + number, dropout=0.2, noise=0.2)
        squares = with_squares(images, labels, seed + number, reverse=name == "reversed")
        parts[name] = squares, labels
    return parts


def make_penalty(name, rate, background):
    def penalty(net, images, labels, step):
        if name == "none":
            return 0.0
        if name == "CDEP":
            return rate * cdep_loss(net, images, CORNERS)
        if name == "RRR":
            return rate * rrr_loss(net, images, CORNERS, labels, form="likelihood")
        return rate * expected_gradients_loss(
            net, images, CORNERS, background, labels, n_samples=4, seed=step
        )

    return penalty


def run(name, rate, *, size, epochs, seed):
    """Train once; return the accuracies after the last epoch."""
    data, net = make_data(size, seed), make_net(1, seed)
    penalty = make_penalty(name, rate, data["train"][0])
    for _ in train(net, *data["train"], penalty, epochs=epochs, weight_decay=1e-4, seed=seed):
        pass
    return [accuracy(net, *data[part]) for part in ("reversed", "same")]


def main():
    parser = argparse.ArgumentParser(description="Digits with a square that gives the class away.")
    parser.add_argument("--size", type=int, default=4000, help="training images")
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument(
        "--rates",
        default="none=0,CDEP=1,CDEP=10,CDEP=100,RRR=1,RRR=10,RRR=100,RRR=1000,EG=1,EG=10",
        help="methods and the weights of their terms",
    )
    given = parser.parse_args()
    print(f"{given.size} images, {given.epochs} epochs, seeds {given.seeds}; percent right")
    print("method  rate   seed  reversed greys  same greys")
    for entry in given.rates.split(","):
        name, rate = entry.split("=")
        for seed in given.seeds:
            found = run(name, float(rate), size=given.size, epochs=given.epochs, seed=seed)
            print(f"{name:6}  {rate:>5}  {seed:4}  {found[0]:14.1f}  {found[1]:10.1f}", flush=True)


if __name__ == "__main__":
    main()
