import captum.attr
import pytest
import torch
from captum_peer import assert_equals_captum, peer
from torch import nn

from pyxai import PyxaiWarning
from pyxai.attribution import GuidedBackprop, GuidedGradCam, LayerGradCam


def make_net():
    torch.manual_seed(0)
    return (
        nn.Sequential(
            nn.Conv2d(2, 4, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(4, 5, 3, padding=1),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(80, 3),
        )
        .double()
        .eval()
    )


def images():
    return torch.rand(3, 2, 8, 8, generator=torch.Generator().manual_seed(0)).double()


@pytest.mark.filterwarnings("ignore::UserWarning:captum")
@pytest.mark.parametrize("mode", ["nearest", "bilinear"])
def test_equals_captum_on_a_net_of_relu_modules(mode):
    net, x, target = make_net(), images(), torch.tensor([0, 1, 2])
    found = GuidedGradCam(net, net[3]).attribute(x, target, interpolate_mode=mode)
    expected = captum.attr.GuidedGradCam(net, net[3]).attribute(x, target, interpolate_mode=mode)
    torch.testing.assert_close(found, expected.detach())
    assert found.abs().sum() > 0


def test_is_the_product_of_its_parts():
    net, x = make_net(), images()
    cam = LayerGradCam(net, net[3]).attribute(x, 1, relu_attributions=True)
    wide = LayerGradCam.interpolate(cam, (8, 8))
    expected = GuidedBackprop(net).attribute(x, 1) * wide
    torch.testing.assert_close(GuidedGradCam(net, net[3]).attribute(x, 1), expected)


def test_hooks_are_gone_after_success_and_failure():
    net = make_net()
    method = GuidedGradCam(net, net[3])
    method.attribute(images(), 1)
    with pytest.raises(ValueError, match="target"):
        method.attribute(images(), 9)
    assert not any(module._forward_hooks for module in net.modules())


def test_bad_input_is_named():
    net = make_net()
    with pytest.raises(ValueError, match="interpolate_mode must be one of 'nearest'"):
        GuidedGradCam(net, net[3]).attribute(images(), 0, interpolate_mode="best")
    with pytest.raises(TypeError, match="layer must be a module or the name of one, got 3"):
        GuidedGradCam(net, 3)
    with pytest.raises(ValueError, match="inputs must have 2 dimensions like the map"):
        GuidedGradCam(net, net[6]).attribute(images(), 0)


class ImageAndTable(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer, self.relu = nn.Conv2d(1, 2, 3), nn.ReLU()
        self.head = nn.Linear(2 * 16 + 3, 2)

    def forward(self, image, table):
        maps = self.relu(self.layer(image)).flatten(1)
        return self.head(torch.cat([maps, table], 1))


def test_a_table_beside_an_image_gets_nothing():
    torch.manual_seed(0)
    net = ImageAndTable().eval()
    x = (torch.randn(2, 1, 6, 6), torch.randn(2, 3))
    with pytest.warns(PyxaiWarning, match="inputs without the 4 dimensions of the layer's map get"):
        found = GuidedGradCam(net, net.layer).attribute(x, 0)
    theirs = peer(captum.attr.GuidedGradCam(net, net.layer), x, 0)
    assert_equals_captum(found, theirs)
    assert found[0].any()
    assert found[1].shape == (0,)
