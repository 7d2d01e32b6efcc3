"""Parts of non-negative data as coordinates."""

from __future__ import annotations

import torch
from torch import Tensor

from pyxai._extras import optional
from pyxai.transforms.dictionary import DictionaryTransform

__all__ = ["NMFTransform"]

_SWEEPS = 20  # of coordinate descent before the active set is tried
_ROUNDS = 200


class NMFTransform(DictionaryTransform):
    """Weights of non-negative components, fitted by scikit-learn.

    ``T(x) = argmin over s >= 0 of |x - s @ components|^2`` and ``inverse(s) = s @ components``. The
    components are independent, so that the minimum is one; it is found to rounding.

    Parameters
    ----------
    n_components : int, optional
        How many; default: as scikit-learn has it.
    seed : int
        Of scikit-learn's start.
    **options
        Further arguments of ``sklearn.decomposition.NMF``.

    Notes
    -----
    The gradient of T is that of least squares on the components whose weight is not 0.

    References
    ----------
    .. [1] D. D. Lee, H. S. Seung, "Learning the Parts of Objects by Non-Negative Matrix
       Factorization", Nature 401, 1999.

    Examples
    --------
    >>> import torch
    >>> from pyxai.transforms import NMFTransform
    >>> parts = NMFTransform.from_components(torch.tensor([[1.0, 1.0, 0.0], [0.0, 0.0, 2.0]]))
    >>> parts(torch.tensor([[1.0, 3.0, 4.0]]))
    tensor([[2., 2.]])
    """

    def _fit(self, rows: Tensor) -> tuple[Tensor, Tensor | None]:
        with optional("NMFTransform.fit needs", "scikit-learn>=1.6", "transforms"):
            from sklearn.decomposition import NMF
        _check_sign("data", rows)
        model = NMF(self.n_components, random_state=self.seed, **self.options)
        model.fit(rows.cpu().numpy())
        return torch.from_numpy(model.components_).to(rows), None

    def _set(self, components: Tensor, offset: Tensor | None) -> None:
        if offset is not None:
            raise ValueError("offset must be None for non-negative components, got a tensor")
        super()._set(components, None)
        _check_sign("components", self.fitted())

    def analyse(self, inputs: Tensor) -> Tensor:
        """Return the weights [batch, ..., n_components]; in float64 inside."""
        _check_sign("inputs", inputs)
        flat = self._centred(inputs)
        rows = flat.reshape(-1, flat.shape[-1]).double()
        components = self.fitted()
        gram, products = components @ components.T, rows @ components.T
        return _weights(gram, products).view(*flat.shape[:-1], -1).to(inputs.dtype)


def _check_sign(name: str, values: Tensor) -> None:
    least = float(values.detach().min())
    if least < 0:
        raise ValueError(f"{name} must be at least 0 for NMF, got {least:g}")


def _weights(gram: Tensor, products: Tensor) -> Tensor:
    """Minimise ``s @ gram @ s / 2 - products @ s`` over ``s >= 0``, rows apart.

    Coordinate descent finds which weights are 0, a linear system the others; where both sides of
    the optimality conditions hold, that is the minimum. Gradients follow the linear system.
    """
    scale = products.detach().abs().amax(1, keepdim=True)
    slack = 1e3 * torch.finfo(products.dtype).eps * scale
    with torch.no_grad():
        weights = torch.zeros_like(products)
        for _ in range(_ROUNDS):
            for _ in range(_SWEEPS):
                _descend(weights, gram, products)
            free = weights > 0
            exact = _on_support(gram, products, free)
            slope = products - exact @ gram  # at most 0 where a weight is held at 0
            held = (exact * gram.diagonal() >= -slack) & (free | (slope <= slack))
            if bool(held.all()):
                break
        else:
            raise RuntimeError("the weights of NMF did not converge; are two components alike?")
    return _on_support(gram, products, free).clamp(min=0)


def _descend(weights: Tensor, gram: Tensor, products: Tensor) -> None:
    """Minimise over each weight in turn, in place."""
    for number in range(len(gram)):
        slope = products[:, number] - weights @ gram[:, number]
        step = slope / gram[number, number]
        weights[:, number] = (weights[:, number] + step).clamp(min=0)


def _on_support(gram: Tensor, products: Tensor, free: Tensor) -> Tensor:
    """Return least squares over the weights that are free; the others are 0."""
    both = free[:, :, None] & free[:, None, :]
    ones = torch.diag_embed((~free).to(gram.dtype))
    system = torch.where(both, gram, 0.0) + ones
    found: Tensor = torch.linalg.solve(system, torch.where(free, products, 0.0))
    return found
