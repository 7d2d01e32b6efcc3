"""Panels, decoys, readers of files, and mouths."""

import gzip
import math

import pytest
import torch

from pyxai import datasets


def test_panels_hold_both_images_and_say_which_counts():
    images, labels = datasets.digits()
    made = datasets.switching_panels(seed=4)
    assert made.inputs.shape == made.truth.shape == (1797, 1, 8, 16)
    assert (made.truth.sum((1, 2, 3)) == 64).all()
    assert torch.equal(made.inputs[made.truth].view(1797, 1, 8, 8), images)
    assert torch.equal(made.labels, labels)
    left = made.truth[:, 0, 0, 0]
    assert abs(left.double().mean() - 0.5) < 0.05
    others = made.inputs[~made.truth].view(1797, 1, 8, 8)
    ink = (1 - others).transpose(2, 3).flatten(1)
    assert ink.sum() == images.sum()
    assert torch.equal(ink.sort(0).values, images.flatten(1).sort(0).values)
    again = datasets.switching_panels(seed=5)
    assert not torch.equal(again.truth, made.truth)


def test_panels_of_given_images():
    ours, theirs = torch.rand(30, 3, 4, 5), torch.rand(30, 3, 4, 5)
    made = datasets.switching_panels(ours, torch.arange(30), theirs)
    assert torch.equal(made.inputs[made.truth].view_as(ours), ours)
    assert torch.equal(made.inputs[~made.truth].view_as(ours), theirs)
    # A selection of a share r with false discovery rate f: TPR = 2 r (1 - f), FPR = 2 r f.
    chosen = torch.rand(made.truth.shape) < 0.3
    hits, count = (chosen & made.truth).sum(), chosen.sum()
    share, false = count / chosen.numel(), 1 - hits / count
    torch.testing.assert_close(hits / made.truth.sum(), 2 * share * (1 - false))


def idx(values):
    sizes = b"".join(size.to_bytes(4, "big") for size in values.shape)
    return bytes([0, 0, 8, values.dim()]) + sizes + bytes(values.flatten().tolist())


def test_files_of_mnist_are_read(tmp_path):
    pixels = torch.randint(0, 256, (3, 28, 28), dtype=torch.uint8)
    (tmp_path / "t10k-images-idx3-ubyte.gz").write_bytes(gzip.compress(idx(pixels)))
    (tmp_path / "t10k-labels-idx1-ubyte").write_bytes(idx(torch.tensor([4, 0, 9])))
    images, labels = datasets.mnist(tmp_path, train=False)
    assert torch.equal(images, pixels.float().unsqueeze(1) / 255)
    assert labels.tolist() == [4, 0, 9]
    assert torch.equal(datasets.fashion_mnist(tmp_path, train=False)[0], images)
    with pytest.raises(FileNotFoundError, match="folder must hold train-images-idx3-ubyte or"):
        datasets.mnist(tmp_path)
    (tmp_path / "t10k-labels-idx1-ubyte").write_bytes(idx(torch.tensor([4, 0])))
    with pytest.raises(ValueError, match="as many labels as images, got 2 for 3 images"):
        datasets.mnist(tmp_path, train=False)
    (tmp_path / "t10k-labels-idx1-ubyte").write_bytes(idx(torch.tensor([4, 0]))[:-1])
    with pytest.raises(ValueError, match=r"must hold 2 values for sizes \[2\], got 1"):
        datasets.mnist(tmp_path, train=False)
    (tmp_path / "t10k-labels-idx1-ubyte").write_bytes(b"other")
    with pytest.raises(ValueError, match="must be an idx file of bytes in 1 dimension"):
        datasets.mnist(tmp_path, train=False)


@pytest.mark.parametrize("reverse", [False, True])
def test_squares_have_the_grey_of_the_class(reverse):
    images, labels = torch.rand(200, 1, 28, 28) * 0.5, torch.arange(200) % 10
    made = datasets.decoy_squares(images, labels, reverse=reverse, seed=1)
    assert (made.decoys.sum((1, 2, 3)) == 25).all()
    assert torch.equal(made.inputs[~made.decoys], images[~made.decoys])
    grey = (25 * labels if reverse else 255 - 25 * labels) / 255
    expected = grey.view(-1, 1, 1, 1).expand_as(images)
    torch.testing.assert_close(made.inputs[made.decoys], expected[made.decoys])
    corners = made.decoys[:, 0, ::27, ::27].flatten(1)
    assert (corners.sum(1) == 1).all()
    assert (corners.sum(0) > 30).all()


def test_colours_run_from_red_to_purple():
    images, labels = torch.rand(3, 1, 4, 4), torch.tensor([0, 4, 9])
    made = datasets.decoy_colours(images, labels)
    assert made.inputs.shape == (3, 3, 4, 4)
    colours = made.inputs.amax((2, 3)) / images.amax((2, 3))
    torch.testing.assert_close(colours[0], torch.tensor([1.0, 0.0, 0.0]))
    torch.testing.assert_close(colours[2], torch.tensor([1.0, 0.0, 1.0]))
    assert colours[1].argmax() == 1
    turned = datasets.decoy_colours(images, labels, reverse=True, n_classes=10)
    torch.testing.assert_close(turned.inputs[2] / images[2], (made.inputs[0] / images[0]))


def test_words_are_inserted_anywhere():
    tokens = torch.arange(40).view(10, 4).repeat(30, 1)
    labels = torch.arange(300) % 2
    made = datasets.decoy_words(tokens, labels, torch.tensor([100, 200]))
    assert torch.equal(made.inputs[made.decoys], 100 + 100 * labels)
    assert torch.equal(made.inputs[~made.decoys].view(300, 4), tokens)
    assert (made.decoys.sum(0) > 30).all()
    turned = datasets.decoy_words(tokens, labels, torch.tensor([100, 200]), reverse=True)
    assert torch.equal(turned.inputs[turned.decoys], 200 - 100 * labels)


def test_mouth_boxes_lie_along_the_mouth():
    angle, distance = 0.4, 30.0
    step = distance * torch.tensor([math.cos(angle), math.sin(angle)])
    corners = torch.stack([torch.tensor([50.0, 60.0]), torch.tensor([50.0, 60.0]) + step])
    box = datasets.mouth_box(corners.unsqueeze(0))[0, 0]
    area = 1.8 * distance**2
    assert abs(box.sum() - area) < 0.03 * area
    places = box.nonzero().flip(1).double()  # columns and rows
    assert ((places.mean(0) - corners.double().mean(0)).abs() < 0.2).all()
    axes = torch.linalg.eigh(places.T.cov())[1][:, -1]
    assert abs(abs(float(axes[1] / axes[0])) - math.tan(angle)) < 0.02
    early = datasets.mouth_box(corners.unsqueeze(0), length=1.0, height=0.4)
    assert abs(early.sum() - 0.4 * distance**2) < 0.05 * area


def write_celeba(folder):
    from PIL import Image

    (folder / "img_align_celeba").mkdir()
    names = [f"{number:06}.png" for number in range(4)]
    for number, name in enumerate(names):
        Image.new("RGB", (178, 218), (255, 60 * number, 0)).save(folder / "img_align_celeba" / name)
    attributes = "".join(f"{name} -1 {1 if at % 2 else -1}\n" for at, name in enumerate(names))
    (folder / "list_attr_celeba.txt").write_text(f"4\nYoung Smiling\n{attributes}")
    points = "lefteye_x lefteye_y leftmouth_x leftmouth_y rightmouth_x rightmouth_y"
    marks = "".join(f"{name} 0 0 75 150 105 150\n" for name in names)
    (folder / "list_landmarks_align_celeba.txt").write_text(f"4\n{points}\n{marks}")
    parts = "".join(f"{name} {part}\n" for name, part in zip(names, (0, 0, 1, 2), strict=True))
    (folder / "list_eval_partition.txt").write_text(parts)


@pytest.mark.parametrize("name", ["list_attr_celeba.txt", "list_landmarks_align_celeba.txt"])
def test_a_face_of_which_nothing_is_known_is_named(tmp_path, name):
    write_celeba(tmp_path)
    lines = (tmp_path / name).read_text().splitlines()
    (tmp_path / name).write_text("\n".join([*lines[:3], *lines[4:]]))  # all but the second
    message = r"^folder must hold attributes .* every image, got none of 1, the first '000001.png'"
    with pytest.raises(ValueError, match=message):
        datasets.CelebASmile(tmp_path)
    assert len(datasets.CelebASmile(tmp_path, "test")) == 1


def test_faces_are_read_with_labels_and_mouths(tmp_path):
    write_celeba(tmp_path)
    train = datasets.CelebASmile(tmp_path)
    assert len(train) == 2
    assert train.labels.tolist() == [0, 1]
    image, label, truth = train[1]
    assert image.shape == (3, 128, 128)
    assert label == 1
    torch.testing.assert_close(image[:, 0, 0], torch.tensor([1.0, 60 / 127.5 - 1, -1.0]))
    expected = datasets.mouth_box(torch.tensor([[[50.0, 105.0], [80.0, 105.0]]]))[0]
    assert torch.equal(truth, expected)
    assert torch.equal(train[-1][2], truth)
    assert len(datasets.CelebASmile(tmp_path, "test")) == 1
    loader = torch.utils.data.DataLoader(train, batch_size=2)
    assert next(iter(loader))[2].shape == (2, 1, 128, 128)
    with pytest.raises(ValueError, match="split must be one of 'train', 'validation', 'test'"):
        datasets.CelebASmile(tmp_path, "all")
    (tmp_path / "list_attr_celeba.txt").write_text("1\nYoung Old\n000000.png 1 1\n")
    with pytest.raises(ValueError, match=r"must have the columns \['Smiling'\]"):
        datasets.CelebASmile(tmp_path)
    (tmp_path / "list_attr_celeba.txt").unlink()
    with pytest.raises(FileNotFoundError, match="folder must hold list_attr_celeba"):
        datasets.CelebASmile(tmp_path)


def test_what_does_not_fit_is_said():
    images, labels = torch.rand(4, 1, 6, 6), torch.arange(4)
    with pytest.raises(ValueError, match="images and labels must be given together, got labels"):
        datasets.switching_panels(labels=labels)
    with pytest.raises(ValueError, match=r"others must have shape \[4, 1, 6, 6\], got"):
        datasets.switching_panels(images, labels, images[:2])
    with pytest.raises(ValueError, match="others must be given unless images are square"):
        datasets.switching_panels(images[:, :, :3], labels)
    with pytest.raises(ValueError, match="size must be at most 3, got 5"):
        datasets.decoy_squares(images, labels)
    with pytest.raises(ValueError, match=r"step must be positive and at most 0\.333333 for 4"):
        datasets.decoy_squares(images, labels, size=2, step=0.5)
    with pytest.raises(ValueError, match=r"labels must have shape \[4\], got \[3\]"):
        datasets.decoy_colours(images, labels[:3])
    with pytest.raises(ValueError, match="labels must be below the 2 words, got 3"):
        datasets.decoy_words(labels[:, None], labels, torch.tensor([1, 2]))
    with pytest.raises(ValueError, match=r"corners must be two points each, got one in rows \[0\]"):
        datasets.mouth_box(torch.zeros(1, 2, 2))
