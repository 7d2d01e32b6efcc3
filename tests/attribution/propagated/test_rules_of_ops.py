"""Every op that the mathematics has a rule for: complete, bounded by the gradient, or by hand."""

import pytest
import torch
import torch.nn.functional as F
from deep_nets import Function
from torch import nn

from pyxai import UnsupportedOperationError
from pyxai.attribution import LRP, DeepLift, DeepLiftShap

F64 = torch.float64
X = torch.tensor([[1, 2, -1, 0.5], [0.3, -0.7, 1.1, 2.2]], dtype=F64)
B = torch.tensor([[0.2, -0.4, 0.9, 1.7]], dtype=F64).expand(2, 4).contiguous()
W = torch.tensor([[1, 0.5, -1, 2], [0.3, -1, 2, 0.4], [2, 1, 0.4, -0.6], [0.1, 0.7, -0.3, 1]])
W, K, MASK = W.double(), torch.tensor([1, -2, 0.5, 3], dtype=F64), torch.arange(4) > 0
EYE, GROUPS = torch.eye(4, dtype=F64), torch.tensor([[0, 0, 1, 2]])
PLACES = torch.full((1, 2, 2, 2), 0.3, dtype=F64)


def put_zero(x):
    h = x @ W
    h[h < 0] = 0
    return h


def put_rows(x):
    h = (x @ W).reshape(-1, 2, 2)
    h[h.sum(2) < 1] = 0.5
    return h.flatten(1)


def put_columns(x):
    h = x @ W
    h[:, :2][h[:, 2:] > 0] = 2.0
    return h


def scattered(reduce, include=True):
    def function(x):
        return torch.zeros_like(x).scatter_reduce(
            1, GROUPS.expand_as(x), x, reduce, include_self=include
        )

    return function


def image(x):
    return x.reshape(-1, 1, 2, 2)


def sampled(x, grid):
    return F.grid_sample(image(x), grid, align_corners=False).flatten(1)


# What is linear, or homogeneous: LRP with epsilon 0 gives all relevance to the inputs too.
CONSERVED = {
    "inverse of weights": lambda x: x @ torch.linalg.inv(W),
    "pseudoinverse": lambda x: x @ torch.linalg.pinv(W),
    "solve": lambda x: torch.linalg.solve(W, x.T).T,
    "solve on the right": lambda x: torch.linalg.solve(W, x, left=False),
    "solve for vectors": lambda x: torch.linalg.solve(W, x.unsqueeze(-1)).squeeze(-1),
    "triangular": lambda x: torch.linalg.solve_triangular(W.tril(), x.T, upper=False).T,
    "Cholesky": lambda x: torch.cholesky_solve(x.T, torch.linalg.cholesky(W @ W.T + EYE)).T,
    "LU": lambda x: torch.linalg.lu_solve(*torch.linalg.lu_factor(W), x.T).T,
    "matrix exponential": lambda x: x @ torch.linalg.matrix_exp(W),
    "determinant of weights": lambda x: x * torch.linalg.det(W),
    "grid": lambda x: sampled(x, PLACES.expand(len(x), -1, -1, -1)),
    "spectrum": lambda x: torch.fft.irfft(torch.fft.rfft(x) * torch.fft.rfft(K), n=4),
    "whole spectrum": lambda x: torch.fft.ifft(torch.fft.fft(x) * torch.fft.fft(K)).real,
    "two axes": lambda x: torch.fft.irfft2(torch.fft.rfft2(image(x)), s=(2, 2)).flatten(1),
    "Hermitian": lambda x: torch.fft.hfft(x.to(torch.complex128), n=4),
    "real and imaginary": lambda x: torch.cat([torch.fft.rfft(x).real, torch.fft.rfft(x).imag], 1),
    "view as real": lambda x: torch.view_as_real(torch.fft.rfft(x)).flatten(1),
    "complex weights": lambda x: (torch.fft.fft(x) @ torch.fft.fft(W)).real,
    "power spectrum": lambda x: torch.fft.rfft(x).abs().square(),
    "amplitudes": lambda x: torch.fft.rfft(x).abs(),
    "conjugate product": lambda x: (torch.fft.rfft(x) * torch.fft.rfft(x).conj()).real,
    "autoconvolution": lambda x: torch.fft.irfft(torch.fft.rfft(x) ** 2, n=4),
    "polar": lambda x: torch.polar(x.abs(), K.expand_as(x)).real,
    "put at negative values": put_zero,
    "(x > 0) & mask": lambda x: x * ((x > 0) & MASK),
    "x > 0 or mask": lambda x: x * ((x > 0) | ~MASK),
    "exclusive or": lambda x: x * ((x > 0) ^ MASK),
    "not": lambda x: x * ~(x > 0),
    "any and all": lambda x: x * (x > 1.8).any(1, keepdim=True) + x * (x < 3).all(1, keepdim=True),
    "between": lambda x: torch.where((x > 0) & (x < 1.5), x, 2 * x),
    "topk": lambda x: x.topk(3, 1)[0],
    "smallest": lambda x: x.topk(3, 1, largest=False)[0],
    "by places": lambda x: x.gather(1, x.topk(3, 1)[1]),
    "sort": lambda x: x.sort(1, descending=True)[0],
    "by argsort": lambda x: x.gather(1, x.argsort(1)),
    "median": lambda x: x.median(1, keepdim=True)[0] * K,
    "nanmedian": lambda x: x.nanmedian(1)[0].unsqueeze(1) * K,
    "kthvalue": lambda x: x.kthvalue(2, 1)[0].unsqueeze(1) * K,
    "quantile": lambda x: x.quantile(0.3, 1).unsqueeze(1) * K,
    "cummax": lambda x: x.cummax(1)[0],
    "cummin": lambda x: x.cummin(1)[0],
    "cumsum": lambda x: x.cumsum(1),
    "cumprod": lambda x: x.cumprod(1),
    "prod": lambda x: x.prod(1, keepdim=True) * K,
    "var": lambda x: x.var(1, keepdim=True) * K,
    "var_mean": lambda x: sum(torch.var_mean(x, 1)).unsqueeze(1) * K,
    "std": lambda x: x.std(1, keepdim=True) * K,
    "std_mean": lambda x: sum(torch.std_mean(x, 1, correction=0)).unsqueeze(1) * K,
    "length": lambda x: torch.linalg.vector_norm(x, dim=1, keepdim=True) * K,
    "norm of order 1": lambda x: torch.linalg.vector_norm(x, 1, dim=1, keepdim=True) * K,
    "norm of order 3": lambda x: torch.linalg.vector_norm(x, 3, dim=1, keepdim=True) * K,
    "norm of order -1": lambda x: torch.linalg.vector_norm(x, -1, dim=1, keepdim=True) * K,
    "largest size": lambda x: x.norm(torch.inf, dim=1, keepdim=True) * K,
    "smallest size": lambda x: x.norm(-torch.inf, dim=1, keepdim=True) * K,
    "normalize": lambda x: F.normalize(x, dim=1),
    "distances": lambda x: torch.cdist(x, 0 * W),
    "scattered sum": scattered("sum"),
    "scattered mean": scattered("mean", False),
    "scattered maximum": scattered("amax", False),
    "scattered minimum": scattered("amin", False),
    "moving bounds": lambda x: x.clamp(x @ W - 9, x @ W + 9),
}
# LRP has rules for them, or says that it has none; constants and slopes take relevance.
COMPLETE = {
    "put for rows": put_rows,
    "put in columns": put_columns,
    "phases": lambda x: torch.fft.rfft(x).angle(),
    "phases of a product": lambda x: torch.polar(x.exp(), x.flip(1)).imag,
    "short time": lambda x: (
        torch.stft(
            x, 4, 2, window=torch.hann_window(4, dtype=F64), center=True, return_complex=True
        )
        .abs()
        .flatten(1)
    ),
    "number of positive ones": lambda x: (x > 0).sum(1, keepdim=True) * x,
    "norm of order 0": lambda x: torch.linalg.vector_norm(x.relu(), 0, dim=1, keepdim=True) * K,
    "all distances": lambda x: torch.cdist(x, W),
    "distances of order 1": lambda x: torch.cdist(x, W + 0.05, p=1),
    "tensor bounds": lambda x: x.clamp(K - 3, K + 0.1),
    "scattered maximum of 0": scattered("amax"),
    "logcumsumexp": lambda x: x.logcumsumexp(1),
    "bins": lambda x: torch.bucketize(x, torch.arange(4).double()) * x,
    "searched": lambda x: torch.searchsorted(torch.arange(4).double(), x) + x,
    "Bessel": lambda x: torch.special.i0(x) + torch.special.i1e(x),
    "polygamma": lambda x: torch.polygamma(1, x.abs() + 1),
    "incomplete gamma": lambda x: torch.special.gammainc(K.abs(), x.abs() + 1),
    "ldexp": lambda x: torch.ldexp(x, torch.arange(4)),
    "pow of both": lambda x: (x.abs() + 1) ** x,
    "isnan": lambda x: torch.where(torch.isnan(x), 0.0, x),
    "nanmean": lambda x: x.nanmean(1, keepdim=True) * K,
}
STEPS = {"number of positive ones", "norm of order 0", "bins", "searched"}
OPS = {**CONSERVED, **COMPLETE}


def net(name):
    model = Function(lambda _, x: OPS[name](x))
    return model, model(X)


@pytest.mark.parametrize("name", OPS)
def test_deep_lift_is_complete(name):
    model, output = net(name)
    target = output.shape[1] - 1
    change = (output - model(B))[:, target]
    for rule in ("rescale", "reveal_cancel"):
        found = DeepLift(model, rule=rule).attribute(X, B, target=target)
        torch.testing.assert_close(found.sum(1), change, rtol=1e-9, atol=1e-9)
        back = DeepLift(model, rule=rule).attribute(B, X, target=target)
        torch.testing.assert_close(back.sum(1), -change, rtol=1e-9, atol=1e-9)
        alone = DeepLift(model, rule=rule).attribute(X[1:], B[1:], target=target)
        torch.testing.assert_close(alone, found[1:], rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", [name for name in OPS if name not in STEPS])
def test_deep_lift_is_the_gradient_where_input_and_baseline_meet(name):
    model, _ = net(name)
    step = 1e-6 * torch.tensor([[1, -2, 0.5, 1.5]], dtype=F64)
    found = DeepLift(model).attribute(X + step, X - step, target=1) / (2 * step)
    leaf = X.clone().requires_grad_()
    (expected,) = torch.autograd.grad(model(leaf)[:, 1].sum(), leaf)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", CONSERVED)
def test_lrp_conserves(name):
    model, output = net(name)
    for strict in (True, False):
        found = LRP(model, epsilon=0.0, strict=strict).attribute(X, target=1)
        torch.testing.assert_close(found.sum(1), output[:, 1], rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("method", [DeepLift, LRP])
@pytest.mark.parametrize("strict", [True, False])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_a_circular_convolution_by_its_spectrum(method, strict, dtype):
    kernel = nn.Parameter(K.to(dtype))
    model = Function(lambda _, x: torch.fft.irfft(torch.fft.rfft(x) * torch.fft.rfft(kernel)))
    x = torch.tensor([[1, 2, -1, 0.5]], dtype=dtype)
    found = method(model, strict=strict).attribute(x, target=1)
    expected = torch.tensor([[-2, 2, -3, 0.25]], dtype=dtype)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("method", [DeepLift, LRP])
@pytest.mark.parametrize("strict", [True, False])
@pytest.mark.parametrize("function", [torch.linalg.pinv, torch.linalg.inv])
def test_inverses_of_weights_are_constants(method, strict, function):
    model = nn.Module()
    model.weight = nn.Parameter(W)
    model.forward = lambda x: x @ function(model.weight)
    found = method(model, strict=strict).attribute(X, target=1)
    torch.testing.assert_close(found, X * function(W)[:, 1], rtol=1e-6, atol=1e-9)


def test_deep_shap_passes_them_too():
    for name in ("spectrum", "sort", "put at negative values", "(x > 0) & mask", "solve"):
        model, output = net(name)
        for rule in ("rescale", "reveal_cancel", "neuron_shapley"):
            found = DeepLiftShap(model, rule=rule).attribute(X, torch.cat([B, X[:1]]), target=1)
            mean = torch.cat([model(B), output[:1]]).mean(0)[1]
            torch.testing.assert_close(found.sum(1), output[:, 1] - mean)


def test_lrp_by_hand():
    model = nn.Sequential(nn.Linear(4, 4, bias=False), Function(lambda _, x: put(x))).double()

    def put(h):
        h = h.clone()
        h[h < 0] = 0
        return h

    relu = nn.Sequential(model[0], nn.ReLU())
    for rule in ("epsilon", "z_plus"):
        found, expected = (LRP(m, rule=rule).attribute(X, target=1) for m in (model, relu))
        torch.testing.assert_close(found, expected)
    found = LRP(Function(lambda _, x: x * ((x > 0) & MASK)), epsilon=0.0).attribute(X, target=1)
    torch.testing.assert_close(found, torch.tensor([[0, 2.0, 0, 0], [0, 0, 0, 0]], dtype=F64))
    step = Function(lambda _, x: torch.where(x > 0, 2.0, -1.0).double())
    found = LRP(step, epsilon=0.0).attribute(X, target=1)
    torch.testing.assert_close(found, torch.tensor([[0, 2.0, 0, 0], [0, -1, 0, 0]], dtype=F64))
    found = LRP(net("prod")[0], epsilon=0.0).attribute(X, target=0)
    torch.testing.assert_close(found, (X.prod(1, keepdim=True) / 4).expand(2, 4))
    found = LRP(net("median")[0], epsilon=0.0).attribute(X, target=0)
    torch.testing.assert_close(found, torch.tensor([[0, 0, 0, 0.5], [0.3, 0, 0, 0]], dtype=F64))
    found = LRP(net("length")[0], epsilon=0.0).attribute(X, target=0)
    torch.testing.assert_close(found, X**2 / X.norm(dim=1, keepdim=True))


@pytest.mark.parametrize("dims", [(3, 5, 2), (4, 6)])
def test_sorted_values_give_each_change_to_one_element_within_its_bounds(dims):
    """Multipliers are those of a matrix with rows in [0, 1] that sum to the change."""
    generator = torch.Generator().manual_seed(0)
    x, b = (torch.randint(-3, 4, dims, generator=generator).double() for _ in range(2))  # ties
    model = Function(lambda _, x: x.sort(1)[0].flatten(1))
    n = x.flatten(1).shape[1]
    for target in range(n):
        found = DeepLift(model, multiply_by_inputs=False).attribute(x, b, target=target)
        assert (found != 0).flatten(1).sum(1).max() <= 1
        assert found.min() >= 0
        assert found.max() <= 1
        change = (model(x) - model(b))[:, target]
        torch.testing.assert_close((found * (x - b)).flatten(1).sum(1), change)


def test_running_extrema_do_not_look_ahead():
    """The third element is closest to what the first two have, and is not read."""
    x, b = torch.tensor([[5, 1, 5.1]]).double(), torch.tensor([[0, 4, 3.9]]).double()
    found = DeepLift(Function(lambda _, x: x.cummax(1)[0])).attribute(x, b, target=1)
    torch.testing.assert_close(found, torch.tensor([[1.0, 0, 0]], dtype=F64))


WITHOUT = {
    "inverse of the input": (lambda x: torch.linalg.inv(image(x) + 5).flatten(1), "linalg_inv_ex"),
    "mode": (lambda x: x.mode(1)[0].unsqueeze(1) * K, "mode"),
    "moving places": (lambda x: x.gather(1, (x + B[0]).argsort(1)), "gather"),
    "one hot": (lambda x: F.one_hot(x.argmax(1), 4).double() @ W, "argmax"),
    "rows of a table": (lambda x: W[x.argmax(1)] * K, "index"),
    "places as numbers": (lambda x: x.sort(1)[1] * x, "sort"),
    "scattered product": (scattered("prod"), "scatter_reduce"),
    "moving grid": (
        lambda x: sampled(x, x.reshape(-1, 2, 1, 2).tanh()),
        "grid_sampler_2d",
    ),
    "moving matrix": (
        lambda x: torch.linalg.solve(image(x).squeeze(1) + 5, image(x).squeeze(1)).flatten(1),
        "_linalg_solve_ex",
    ),
    "logarithm of complex values": (lambda x: torch.fft.rfft(x).log().real, "log"),
}
LRP_HAS = {"moving places"}


@pytest.mark.parametrize("name", WITHOUT)
def test_other_ops_are_named_with_their_line(name):
    function, op = WITHOUT[name]
    model = Function(lambda _, x: function(x))
    with pytest.raises(UnsupportedOperationError, match=rf"{op} .*{__name__}\.py:\d+"):
        DeepLift(model).attribute(X, B, target=1)
    if name not in LRP_HAS:
        with pytest.raises(UnsupportedOperationError, match=rf"{op} .*{__name__}\.py:\d+"):
            LRP(model).attribute(X, target=1)


@pytest.mark.filterwarnings("ignore::pyxai.PyxaiWarning")
@pytest.mark.parametrize("method", [DeepLift, LRP])
def test_what_has_no_derivative_either_is_not_zero(method):
    model = Function(lambda _, x: torch.special.bessel_j0(x))
    with pytest.raises(UnsupportedOperationError, match=r"special_bessel_j0 has no derivative"):
        method(model, strict=False).attribute(X, target=1)
    model = Function(lambda _, x: x.mode(1)[1].unsqueeze(1) * K)  # whole numbers
    with pytest.raises(UnsupportedOperationError, match=r"mode has no derivative in torch, at"):
        method(model, strict=False).attribute(X, target=1)
