"""What the CDEP examples share: drawn digits, a small net, and a training loop with a penalty."""

import torch
from torch import nn

# The segments of a digit on a calculator, from the top clockwise, and the middle one last.
SEGMENTS = [
    "012345", "12", "01346", "01236", "1256", "02356", "023456", "012", "0123456", "012356",
]  # fmt: skip


def draw_digits(count, seed, *, dropout=0.0, noise=0.0):
    """Return grey images [count, 28, 28] in [0, 1] and their digits: size, place, width vary."""
    rng = torch.Generator().manual_seed(seed)
    labels = torch.randint(10, (count,), generator=rng)
    images = torch.zeros(count, 28, 28)

    def one_of(low, high):
        return int(torch.randint(low, high, (), generator=rng))

    for image, label in zip(images, labels.tolist(), strict=True):
        top, left, height, width = one_of(3, 7), one_of(6, 10), one_of(7, 9), one_of(9, 12)
        thick = one_of(2, 4)
        rows = [(top + k * height, top + k * height + thick) for k in range(3)]
        columns = [(left, left + thick), (left + width - thick, left + width)]
        for segment in map(int, SEGMENTS[label]):
            if float(torch.rand((), generator=rng)) < dropout:
                continue
            if segment in (0, 3, 6):  # lying: top, bottom, middle
                row = rows[{0: 0, 6: 1, 3: 2}[segment]]
                image[row[0] : row[1], left : left + width] = 1
            else:
                upper = segment in (1, 5)
                column = columns[segment in (1, 2)]
                first = rows[0][0] if upper else rows[1][0]
                image[first : first + height + thick, column[0] : column[1]] = 1
        image *= 0.6 + 0.4 * float(torch.rand((), generator=rng))
    if noise:
        images += noise * torch.randn(images.shape, generator=rng)
    return images.clamp(0, 1), labels


def make_net(channels, seed):
    """Two convolutions and two linear layers, about 20 thousand parameters."""
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(channels, 10, 5), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(10, 20, 5), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(320, 50), nn.ReLU(), nn.Linear(50, 10),
    )  # fmt: skip


@torch.no_grad()
def accuracy(net, images, labels):
    """Percent of the images whose digit has the largest output."""
    found = torch.cat([net(rows).argmax(1) for rows in images.split(500)])
    return 100 * (found == labels).double().mean().item()


def train(net, images, labels, penalty, *, epochs, weight_decay, seed, batch=20):
    """Train with cross entropy plus a penalty ``(net, rows, labels, step) -> loss``.

    Yields after each epoch, of 200 steps for 4000 images: about as many as the authors make.
    """
    optimiser = torch.optim.Adam(net.parameters(), 1e-3, weight_decay=weight_decay)
    rng = torch.Generator().manual_seed(seed)
    step = 0
    for epoch in range(1, epochs + 1):
        for rows in torch.randperm(len(images), generator=rng).split(batch):
            loss = nn.functional.cross_entropy(net(images[rows]), labels[rows])
            loss = loss + penalty(net, images[rows], labels[rows], step)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            step += 1
        yield epoch
