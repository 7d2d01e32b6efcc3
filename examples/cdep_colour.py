"""Train digits whose colour gives the class away, so that colours do not matter.

Each digit of the training set has a colour of its own; in the validation and test sets the colours
are reversed, so that a net which looks at colours is always wrong. A single pixel can tell a
colour and no shape: penalising what single pixels explain leaves the shape to learn from [1].

As in the authors' protocol the epoch is chosen by the validation set, whose colours are those of
the test set: what stands in the table says how much a penalty could help somebody who has such a
set, not that it would be found without. The digits are drawn, not those of MNIST.

    python examples/cdep_colour.py            # minutes on one core, prints cdep_colour.txt

[1] L. Rieger, C. Singh, W. J. Murdoch, B. Yu, "Interpretations are Useful: Penalizing Explanations
to Align Neural Networks with Prior Knowledge", ICML 2020, section 4.2.
"""

import argparse
import colorsys

import torch
from penalised_training import accuracy, draw_digits, make_net, train

from pyxai.decomposition import cdep_loss, expected_gradients_loss, rrr_loss

COLOURS = torch.tensor([colorsys.hsv_to_rgb(0.8 * k / 9, 1.0, 1.0) for k in range(10)])
PIXELS = 8  # that are drawn for each step


def coloured(images, labels, *, reverse=False):
    """Return [n, 3, 28, 28]: each digit in its colour, or in that of 9 minus it."""
    colours = COLOURS[9 - labels if reverse else labels]
    return images.unsqueeze(1) * colours[:, :, None, None]


def make_data(size, seed):
    """Return images and labels to train on, to choose by and to test with, standardised."""
    parts = {}
    for number, (name, count) in enumerate(
        {"train": size, "validation": size // 4, "test": size // 2}.items()
    ):
        images, labels = draw_digits(count, 10 * seed + number)
        parts[name] = coloured(images, labels, reverse=name != "train"), labels
        if name == "train":
            often = (images > 0).double().mean(0).flatten()
    images, labels = draw_digits(size // 2, 10 * seed + 5)
    parts["same colours"] = coloured(images, labels), labels
    mean = parts["train"][0].mean((0, 2, 3), keepdim=True)
    deviation = parts["train"][0].std((0, 2, 3), keepdim=True)
    return {k: ((x - mean) / deviation, y) for k, (x, y) in parts.items()}, often


def make_penalty(name, rate, often, background, seed):
    """Return the term of a method: the same pixels, drawn by how often they are lit, for all."""
    rng = torch.Generator().manual_seed(seed)

    def penalty(net, images, labels, step):
        if name == "none":
            return 0.0
        pixels = torch.multinomial(often, PIXELS, generator=rng)
        groups = torch.zeros(1, PIXELS, 784).scatter_(2, pixels.view(1, -1, 1), 1.0)
        groups = groups.view(1, PIXELS, 1, 28, 28)
        if name == "CDEP":
            return rate * cdep_loss(net, images, groups)
        if name == "RRR":
            return rate * rrr_loss(net, images, groups, labels, form="likelihood")
        return rate * expected_gradients_loss(
            net, images, groups, background, labels, n_samples=4, seed=step
        )

    return penalty


def run(name, rate, *, size, epochs, seed):
    """Train once; return the accuracies of each epoch."""
    data, often = make_data(size, seed)
    net = make_net(3, seed)
    penalty = make_penalty(name, rate, often, data["train"][0], seed)
    parts = [data[part] for part in ("validation", "test", "same colours")]
    steps = train(net, *data["train"], penalty, epochs=epochs, weight_decay=1e-3, seed=seed)
    return [[accuracy(net, *part) for part in parts] for _ in steps]


def main():
    parser = argparse.ArgumentParser(description="Digits whose colour gives the class away.")
    parser.add_argument("--size", type=int, default=4000, help="training images")
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument(
        "--rates",
        default="none=0,CDEP=300,CDEP=1000,RRR=100,RRR=1000,EG=1,EG=10",
        help="methods and the weights of their terms",
    )
    given = parser.parse_args()
    print(f"{given.size} images, {given.epochs} epochs, seeds {given.seeds}; percent right")
    print("method  rate   seed  best epoch  reversed colours  same colours  each epoch, reversed")
    for entry in given.rates.split(","):
        name, rate = entry.split("=")
        for seed in given.seeds:
            epochs = run(name, float(rate), size=given.size, epochs=given.epochs, seed=seed)
            best = max(range(len(epochs)), key=lambda epoch, found=epochs: found[epoch][0])
            each = " ".join(f"{found[1]:.1f}" for found in epochs)
            print(
                f"{name:6}  {rate:>5}  {seed:4}  {best + 1:10}  {epochs[best][1]:16.1f}"
                f"  {epochs[best][2]:12.1f}  {each}",
                flush=True,
            )


if __name__ == "__main__":
    main()
