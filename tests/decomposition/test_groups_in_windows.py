"""Groups of pixels in the windows that they reach: their scores are those of whole maps."""

import copy

import deep_nets
import pytest
import torch
from drawn_conv_nets import conv_nets
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from torch import nn
from torch.utils.flop_counter import FlopCounterMode
from whole_map_nets import WHOLE, whole_map_net

import pyxai
from pyxai.decomposition import ACD, ContextualDecomposition, RelevantInputs, layouts
from pyxai.decomposition.question import WindowedParts
from pyxai.masks import patches
from pyxai.propagation.windows import arithmetic
from pyxai.runner.memory import LiveBytes
from pyxai.runner.state import path_noted

EXACT = {"rtol": 1e-10, "atol": 1e-11}


@pytest.fixture(autouse=True)
def windows_always(monkeypatch):
    """Take windows also where nets are too small for them to be worth it."""
    monkeypatch.setattr(arithmetic, "TRACED", 0.0)
    monkeypatch.setattr(arithmetic, "STEP", 0.0)
    monkeypatch.setattr(layouts, "_GAIN", 100.0)


def build(name, **options):
    """Return a net and images of one's own to write to."""
    net, x, _ = copy.deepcopy(deep_nets.build(name, **options))
    return net, x


def both_ways(net, x, groups, target=None, *, path="incremental", **policies):
    """Return the parts by windows and directly; the first must say that it did."""
    found = []
    for fast in (True, False):
        with path_noted() as paths:
            cd = ContextualDecomposition(net, fast_path=fast, **policies)
            found.append(cd.parts(x, groups, target))
        assert paths == ([path] if fast and path != "direct" else [])
    return found


def blobs(shape, n_groups, seed, *, spread=2):
    """Return a mask for each example: small boxes with holes, shares, nothing and everything."""
    source = torch.Generator().manual_seed(seed)
    batch, channels, height, width = shape
    masks = torch.zeros(batch, n_groups, channels, height, width, dtype=torch.float64)
    for example in range(batch):
        for group in range(n_groups - 2):
            low, left = (int(torch.randint(size, (), generator=source)) for size in (height, width))
            below, beside = (
                int(torch.randint(1, max(2, size // spread), (), generator=source))
                for size in (height, width)
            )
            box = masks[example, group, :, low : low + below, left : left + beside]
            box[:] = torch.rand(box.shape, generator=source).clamp(max=0.7).round(decimals=1)
    masks[:, -1] = 1
    return masks


@settings(deadline=None, max_examples=15, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_drawn_nets_have_the_parts_of_whole_maps(data):
    net, x, target = data.draw(conv_nets())
    assume(any(isinstance(layer, nn.Conv2d) for layer in net.modules()))
    if data.draw(st.booleans()):  # a black area, where biases are shared by ties
        x[..., : x.shape[3] // 2] = 0
    policies = data.draw(
        st.fixed_dictionaries(
            {
                "policy": st.sampled_from(["acd", "shapley", "complement"]),
                "bias": st.sampled_from(["proportional", "proportional", "irrelevant"]),
                "ties": st.sampled_from(["coverage", "coverage", "official", "irrelevant"]),
                "product": st.sampled_from(["acd", "freeze", "shapley"]),
                "clean_up": st.sampled_from(["never", "layer"]),
                "anchored": st.booleans(),
            }
        )
    )
    groups = blobs(x.shape, data.draw(st.integers(3, 6)), data.draw(st.integers(0, 99)))
    with path_noted() as paths:
        fast = ContextualDecomposition(net, **policies).parts(x, groups, target)
    assume(paths == ["incremental"])  # else there is no op with windows before the whole map
    slow = ContextualDecomposition(net, fast_path=False, **policies).parts(x, groups, target)
    for one, other in zip(fast, slow, strict=True):
        torch.testing.assert_close(one, other, **EXACT)


@pytest.mark.parametrize("black", [False, True])
@pytest.mark.parametrize("name", ["vgg", "resnet18"])
def test_deep_nets_have_the_parts_of_whole_maps(name, black):
    net, x = build(name, batch=2)
    if black:
        x[:, :, 8:25] = 0
    groups = blobs(x.shape, 9, 3, spread=4)
    for one, other in zip(*both_ways(net, x, groups, [1, 4]), strict=True):
        torch.testing.assert_close(one, other, **EXACT)


def test_float32_is_as_near_to_float64_as_whole_maps_are():
    """A bias that is much larger than what it is added to multiplies rounding, in both ways."""
    off = torch.zeros(2, dtype=torch.float64)
    for seed in range(3):
        net, x = build("vgg", dtype=torch.float32)
        groups = blobs(x.shape, 9, seed, spread=4).float()[:, :-1]
        found = [each.relevant for each in both_ways(net, x, groups)]
        cd = ContextualDecomposition(net.double(), fast_path=False)
        exact = cd.scores(x.double(), groups.double())
        off += torch.stack([(each - exact).abs().mean() for each in found]) / exact.abs().max()
    assert off[1] < 3e-5
    assert off[0] <= 2 * off[1]


def test_biases_at_ties_outside_a_window_are_those_of_an_empty_group():
    """Half of each bias is everybody's on a black image by the authors' rule: no part is 0."""
    net, x = build("vgg", batch=1)
    x[:] = 0
    x[..., :8] = 1
    groups = blobs(x.shape, 6, 1, spread=4)
    fast, slow = both_ways(net, x, groups, preset="acd")
    assert slow.relevant[:, -2].abs().min() > 0  # of nobody
    torch.testing.assert_close(fast.relevant, slow.relevant, **EXACT)


@pytest.mark.parametrize("ties", ["coverage", "official", "irrelevant"])
def test_constants_around_a_map_are_shared_by_the_rules(ties):
    torch.manual_seed(0)
    pad = nn.ConstantPad2d((1, 2, 3, 0), 0.5)
    layers = [nn.Conv2d(2, 3, 3), nn.ReLU(), nn.MaxPool2d(2), pad, nn.Conv2d(3, 4, 3), nn.ReLU()]
    net = nn.Sequential(*layers, nn.Flatten(), nn.Linear(4 * 14 * 14, 3)).double().eval()
    x = torch.randn(1, 2, 29, 29, dtype=torch.float64)
    groups = blobs(x.shape, 8, 0, spread=4)
    for one, other in zip(*both_ways(net, x, groups, ties=ties), strict=True):
        torch.testing.assert_close(one, other, **EXACT)


def cells(x, size):
    return patches(x[:1], size)


@pytest.mark.parametrize("variant", ["queue", "official"])
def test_hierarchies_are_the_same(variant):
    net, x = build("vgg", batch=1)
    options = {"target": 1, "feature_mask": cells(x, 4)}
    trees = []
    for fast in (True, False):
        cd = ContextualDecomposition(net, fast_path=fast)
        with path_noted() as paths:
            trees += ACD(None, scorer=cd, variant=variant, n_iter=2).agglomerate(x, **options)
        assert paths == ["incremental"] * fast
    first, second = trees
    assert [node.members for node in first.nodes] == [node.members for node in second.nodes]
    torch.testing.assert_close(first.scores, second.scores, **EXACT)


def test_a_call_says_which_way_it_took():
    net, x = build("vgg", batch=2)
    options = {"method": "contextual_decomposition", "target": 0, "feature_mask": cells(x, 8)}
    fast = pyxai.explain(net, x, **options)
    slow = pyxai.explain(net, x, fast_path=False, **options)
    assert (fast.path, slow.path) == ("incremental", "direct")
    torch.testing.assert_close(fast.attributions, slow.attributions, **EXACT)
    with pytest.raises(TypeError, match="fast_path must be True or False"):
        ContextualDecomposition(net, fast_path=1)


def test_interactions_of_patches():
    net, x = build("vgg", batch=1)
    groups = torch.stack([cells(x, 8)[0] == number for number in (0, 1, 9)])[None]
    groups = groups.expand(1, 3, *x.shape[1:])
    fast, slow = (
        ContextualDecomposition(net, fast_path=fast).interactions(x, groups, 1)
        for fast in (True, False)
    )
    torch.testing.assert_close(fast, slow, **EXACT)


def test_patches_of_an_image_take_less_than_half_the_arithmetic():
    net, x = build("vgg", batch=1)
    x = torch.cat([torch.cat([x, x.flip(3)], 3), torch.cat([x.flip(2), x], 3)], 2)
    layers = [*net][:-5]
    net = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(2), *[*net][-5:])
    taken = []
    for fast in (True, False):
        with FlopCounterMode(display=False) as counter:
            ContextualDecomposition(net, fast_path=fast).attribute(
                x, 0, feature_mask=cells(x, 8), internal_batch_size=64
            )
        taken.append(counter.get_total_flops())
    assert taken[0] < taken[1] / 2


def test_rows_alone_are_as_in_the_batch():
    net, x = build("resnet18", batch=3)
    groups = blobs(x.shape, 7, 5, spread=4)
    cd = ContextualDecomposition(net)
    whole = cd.scores(x, groups, 1)
    for row in (0, 2):
        one = slice(row, row + 1)
        torch.testing.assert_close(cd.scores(x[one], groups[one], 1), whole[one], **EXACT)
    few = cd.scores(x, groups, 1, internal_batch_size=2)
    torch.testing.assert_close(few, whole, **EXACT)


def test_what_is_not_split_place_by_place_goes_the_direct_way():
    net, x = build("vgg", batch=1)
    groups = blobs(x.shape, 5, 6, spread=4)
    both_ways(net, x, groups, path="direct", preset="cd")  # biases have a part of their own
    parts = RelevantInputs(groups * x[:, None])
    with path_noted() as paths:
        ContextualDecomposition(net).scores(x, parts, 0)
        ContextualDecomposition(net).completeness_errors(x, groups)
        ContextualDecomposition(net).scores(x, groups, 0, create_graph=True)
    assert not paths
    shifted = deep_nets.Function(lambda parts, rows, by: parts[0](rows + by), net).eval()
    by = torch.ones(1, 3, 1, 1, dtype=torch.float64)
    with path_noted() as paths:
        ContextualDecomposition(shifted).scores(x, groups, 0, pyxai.Shared(by))
    assert not paths
    with path_noted() as paths, torch.autocast("cpu", dtype=torch.bfloat16):
        ContextualDecomposition(net.float()).scores(x.float(), groups, 0)
    assert not paths
    net.double()
    normed = nn.Sequential(nn.GroupNorm(1, 3), *net).double().eval()  # reads all before any window
    both_ways(normed, x, groups, path="direct")


def test_whole_maps_go_on_behind_ops_without_windows():
    torch.manual_seed(0)
    x = torch.randn(2, 3, 16, 16, dtype=torch.float64)
    layers = [nn.Conv2d(3, 4, 3), nn.ReLU(), nn.GroupNorm(2, 4), nn.Conv2d(4, 2, 3), nn.SiLU()]
    net = nn.Sequential(*layers, nn.Flatten(), nn.Softmax(1)).double().eval()
    groups = blobs(x.shape, 6, 7, spread=4)
    for one, other in zip(*both_ways(net, x, groups, 3), strict=True):
        torch.testing.assert_close(one, other, **EXACT)


# Places in a map are numbered through the batch, which the groups of a pass would share.
@pytest.mark.parametrize("name", sorted({*WHOLE} - {"where the largest is"}))
def test_whole_maps_go_on_where_no_window_is_known(name):
    net, x = whole_map_net(name)
    groups = blobs(x.shape, 6, 3, spread=4)
    for one, other in zip(*both_ways(net, x, groups), strict=True):
        torch.testing.assert_close(one, other, **EXACT)


def test_weights_are_read_anew():
    net, x = build("vgg", batch=1)
    groups = blobs(x.shape, 5, 8, spread=4)
    both_ways(net, x, groups)
    with torch.no_grad():
        net[0].weight.mul_(-2.0)
    fast, slow = both_ways(net, x, groups)
    torch.testing.assert_close(fast.relevant, slow.relevant, **EXACT)


def test_passes_are_halved_where_memory_ends(monkeypatch):
    net, x = build("vgg", batch=1)
    groups = blobs(x.shape, 8, 9, spread=4)
    whole = ContextualDecomposition(net).scores(x, groups, 0)
    original, sizes = WindowedParts.split, []

    def short(self, part, which, masks):
        sizes.append(len(masks))
        if len(masks) > 1:
            raise torch.OutOfMemoryError
        return original(self, part, which, masks)

    monkeypatch.setattr(WindowedParts, "split", short)
    torch.testing.assert_close(ContextualDecomposition(net).scores(x, groups, 0), whole, **EXACT)
    assert max(sizes) > 1


@pytest.mark.parametrize("black", [False, True])
def test_no_more_lives_at_once_than_was_counted(black, monkeypatch):
    net, x = build("resnet18", batch=1, dtype=torch.float32)
    if black:
        x[:, :, 8:] = 0
    original, taken = WindowedParts.split, []

    def watched(self, part, which, masks):
        for _ in range(2):  # what is made once for an example is there the second time
            with LiveBytes() as live:
                found = original(self, part, which, masks)
        taken.append(live.peak / (3 * 4 * part.elements * len(masks)))
        return found

    monkeypatch.setattr(WindowedParts, "split", watched)
    groups = torch.stack([cells(x, 8)[0] == number for number in range(16)])[None]
    ContextualDecomposition(net).scores(x, groups.expand(1, 16, *x.shape[1:]), 0)
    assert 0.1 < max(taken) <= 1


def test_small_calls_go_the_direct_way(monkeypatch):
    monkeypatch.undo()
    net, x = build("vgg", batch=2)
    found = pyxai.explain(
        net, x, method="contextual_decomposition", target=0, feature_mask=cells(x, 16)
    )
    assert found.path == "direct"


def test_the_count_tells_where_windows_pay(monkeypatch):
    """Of small maps most is reached by a pixel, and what is cut out of totals costs the rest."""
    monkeypatch.undo()
    small = nn.Sequential(
        *(nn.Conv2d(1, 10, 5), nn.MaxPool2d(2), nn.ReLU(), nn.Conv2d(10, 20, 5), nn.ReLU()),
        *(nn.MaxPool2d(2), nn.Flatten(), nn.Linear(320, 10)),
    ).eval()
    large = nn.Sequential(
        *(nn.Conv2d(3, 32, 3, padding=1), nn.ReLU(), nn.Conv2d(32, 32, 3, padding=1), nn.ReLU()),
        *(nn.MaxPool2d(4), nn.Flatten(), nn.Linear(32 * 16 * 16, 10)),
    ).eval()
    options = {"method": "contextual_decomposition", "target": 0}
    assert pyxai.explain(small, torch.randn(1, 1, 28, 28), **options).path == "direct"
    x = torch.randn(1, 3, 64, 64)
    fast = pyxai.explain(large, x, feature_mask=patches(x, 16), **options)
    assert fast.path == "incremental"
