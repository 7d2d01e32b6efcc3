"""Every public function where its tensors live, and what is told of tensors on several devices."""

import contextlib
import copy
import dataclasses

import public_calls
import pytest
import torch
from backends import REQUIRED
from faked_device import CUDA, Stream, faked_devices, moved
from graph_references import TwoLayers
from public_calls import CALLS
from torch import Tensor, nn

import pyxai
from pyxai import graphs, metrics, taylor
from pyxai.metrics.information.information_curve import InformationCurve
from pyxai.ops._segments import segments_of

NET, DATA = public_calls.NET, public_calls.X
REAL = "cuda" in REQUIRED


@contextlib.contextmanager
def moved_there(monkeypatch):
    """A GPU or a faked one, with all that the calls hold on it."""
    of = dict(vars(public_calls))
    with torch.backends.cudnn.flags(enabled=True, allow_tf32=False) if REAL else faked_devices():
        for name, value in vars(public_calls).items():
            if name.isupper() and name not in ("CALLS", "D"):
                monkeypatch.setattr(public_calls, name, moved(value))
        monkeypatch.setattr(public_calls, "TwoLayers", lambda: moved(TwoLayers()))
        names = vars(public_calls)
        game = pyxai.Game(names["NET"], names["X"], target=0)
        graph = graphs.GraphGame(
            moved(TwoLayers()), names["NODES"], names["EDGES"], weights_as="dense"
        )
        objects = {id(of["GAME"]): game, id(of["GRAPH"]): graph}
        yield lambda value: objects.get(id(value), moved(value))


def tensors_of(value):
    """Return what a result holds, by name."""
    if isinstance(value, Tensor):
        return {"": value.detach()}
    if type(value) in (tuple, list):
        named = {str(index): each for index, each in enumerate(value)}
    elif isinstance(value, tuple):
        named = value._asdict()
    elif isinstance(value, dict):
        named = value
    elif dataclasses.is_dataclass(value):
        named = {
            field.name: getattr(value, field.name, None) for field in dataclasses.fields(value)
        }
    else:
        return {}
    return {
        f"{name}.{inner}": tensor
        for name, each in named.items()
        if not isinstance(each, (nn.Module, pyxai.Game))
        for inner, tensor in tensors_of(each).items()
    }


@pytest.mark.filterwarnings("ignore::pyxai.PyxaiWarning")
@pytest.mark.parametrize("name", CALLS)
def test_functions_find_there_what_they_find_here(name, monkeypatch):
    call = CALLS[name]
    here = tensors_of(call())
    with moved_there(monkeypatch) as there:
        given = {key: there(value) for key, value in call.arguments.items()}
        found = tensors_of(call(**given))
        found = {key: value.cpu() for key, value in found.items()}
    assert list(found) == list(here)
    for key, value in here.items():
        torch.testing.assert_close(
            found[key], value, rtol=1e-8, atol=1e-8, msg=lambda text, key=key: f"{key}: {text}"
        )


def in_float32(value):
    """Return tensors and modules of float64 as those of float32."""
    if isinstance(value, dict):
        return {key: in_float32(each) for key, each in value.items()}
    if type(value) in (tuple, list):
        return type(value)(map(in_float32, value))
    if isinstance(value, nn.Module):
        return copy.deepcopy(value).float()
    return value.float() if isinstance(value, Tensor) and value.dtype == torch.float64 else value


METRICS = [name for name, call in CALLS.items() if hasattr(pyxai.metrics, name)]


@pytest.mark.filterwarnings("ignore::pyxai.PyxaiWarning")
@pytest.mark.parametrize("name", METRICS)
def test_metrics_of_float32_find_there_what_they_find_here(name, monkeypatch):
    call = CALLS[name]
    given = in_float32(call.arguments)
    here = tensors_of(call(**given))
    with moved_there(monkeypatch) as there:
        found = tensors_of(call(**{key: there(value) for key, value in given.items()}))
        found = {key: value.cpu() for key, value in found.items()}
    assert list(found) == list(here)
    for key, value in here.items():
        torch.testing.assert_close(found[key], value, rtol=1e-4, atol=1e-5)


@pytest.fixture
def devices():
    with contextlib.nullcontext() if REAL else faked_devices():
        yield


def test_rows_of_curves_are_chosen_by_an_index_on_any_device(devices):
    index = moved(torch.tensor([2, 0]))
    y = torch.arange(12.0).view(3, 4)
    x = torch.linspace(0, 1, 4)
    for curve in (
        pyxai.metrics.insertion(NET, DATA, DATA, target=0),
        InformationCurve(x, y, "curve", skipped={2: "flat"}),
    ):
        torch.testing.assert_close(curve[index].y, curve.y[[2, 0]])
    assert curve[index].skipped == {0: "flat"}


class Brightness(nn.Module):
    """Two classes of pictures, by what its weights make of the mean of each channel."""

    def __init__(self):
        super().__init__()
        self.weights = nn.Parameter(torch.tensor([[3.0, -1.0], [0.5, 2.0], [-2.0, 0.3]]))

    def forward(self, rows):
        return rows.flatten(2).mean(2) @ self.weights


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_metrics_of_pictures_find_there_what_they_find_here(dtype, devices):
    generator = torch.Generator().manual_seed(0)
    pictures = (255 * torch.rand(2, 3, 16, 16, generator=generator)).byte()
    maps = torch.randn(2, 16, 16, generator=generator, dtype=dtype)
    given, targets = (pictures, maps), torch.tensor([0, 1])
    for measure, options in (
        (metrics.softmax_information_curve, {"n_points": 20, "min_prediction": 0.0}),
        (metrics.accuracy_information_curve, {"n_points": 20}),
    ):
        here = measure(Brightness(), *given, target=targets, **options)
        there = measure(moved(Brightness()), *moved(given), target=moved(targets), **options)
        torch.testing.assert_close(there.y.cpu(), here.y, equal_nan=True)
    cells = torch.tensor([3, 0])
    found = metrics.grid_point_game(moved(maps), 2, moved(cells))
    torch.testing.assert_close(found.cpu(), metrics.grid_point_game(maps, 2, cells))


def test_terms_of_a_polynomial_are_those_of_inputs_on_any_device(devices):
    polynomial = taylor.Polynomial({(1, 0): 2.0, (1, 2): -1.0, (0, 0): 0.5})
    points = torch.tensor([[1.0, 2.0], [0.5, -1.0]])
    here, there = (polynomial.taylor_terms(x, [0.1, 0.2]) for x in (points, moved(points)))
    for kind in ("values", "value", "baseline_value", "residual"):
        torch.testing.assert_close(getattr(there, kind), getattr(here, kind))
    torch.testing.assert_close(there.generic(), here.generic())


def test_players_turned_around_are_kept_for_their_own_stream(devices, monkeypatch):
    players = moved(torch.tensor([[2, 0, 1, 0]], dtype=torch.int32))
    first = segments_of(players, players, 3)
    assert segments_of(players, players, 3) is first
    with torch.cuda.stream(torch.cuda.Stream()) if REAL else contextlib.nullcontext():
        if not REAL:
            monkeypatch.setattr(Stream, "cuda_stream", 2)
        assert segments_of(players, players, 3) is not first


def test_inputs_of_several_devices_are_refused(devices):
    first, second = DATA, moved(DATA)

    def model(one, other):
        return one.sum(1) + other.sum(1).to(one.device)

    for given, wanted, found in (((first, second), "cpu", CUDA), ((second, first), CUDA, "cpu")):
        message = rf"inputs\[1\] must be on {wanted}, got {found}"
        with pytest.raises(ValueError, match=message):
            pyxai.explain(model, given, method="saliency")


@pytest.mark.parametrize("name", ["model", "additional_forward_args"])
def test_the_error_of_a_model_says_where_all_was(name, devices):
    """A model or what it is given beside the rows: it alone knows what belongs together."""

    def forward(rows, more):
        return net(rows) + more

    net, more = moved(NET), DATA[:, :1]
    if name == "model":
        net, more = NET, moved(more)
    with pytest.raises(RuntimeError, match="same device") as caught:
        pyxai.explain(
            forward, moved(DATA), method="saliency", target=0, additional_forward_args=more
        )
    notes = "".join(caught.value.__notes__)
    assert "on cuda:0" in notes
    assert name == "model" or "on cpu" in notes
