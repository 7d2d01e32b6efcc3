"""Parts of non-negative data as coordinates."""

from __future__ import annotations

import torch
from torch import Tensor

from pyxai._extras import optional
from pyxai.transforms.dictionary import DictionaryTransform

__all__ = ["NMFTransform", "check_sign"]

_PATIENCE = 3  # rounds in which all weights may change without there being fewer wrong ones
_ROUNDS = 100  # for each component


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
    .. [2] J. Kim, H. Park, "Fast Nonnegative Matrix Factorization: An Active-Set-Like Method and
       Comparisons", SIAM J. Sci. Comput. 33(6), 2011, for the weights.

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
        check_sign("data", rows)
        model = NMF(self.n_components, random_state=self.seed, **self.options)
        model.fit(rows.cpu().numpy())
        return torch.from_numpy(model.components_).to(rows), None

    def _set(self, components: Tensor, offset: Tensor | None) -> None:
        if offset is not None:
            raise ValueError("offset must be None for non-negative components, got a tensor")
        super()._set(components, None)
        check_sign("components", self.fitted())

    def analyse(self, inputs: Tensor) -> Tensor:
        """Return the weights [batch, ..., n_components]; in float64 inside."""
        check_sign("inputs", inputs)
        flat = self._centred(inputs)
        rows = flat.reshape(-1, flat.shape[-1]).double()
        components = self.fitted().to(rows)
        gram, products = components @ components.T, rows @ components.T
        return _weights(gram, products).view(*flat.shape[:-1], -1).to(inputs.dtype)


def check_sign(name: str, values: Tensor, method: str = "NMF") -> None:
    """Raise ``ValueError`` if a value is below 0."""
    least = float(values.detach().min())
    if least < 0:
        raise ValueError(f"{name} must be at least 0 for {method}, got {least:g}")


def _weights(gram: Tensor, products: Tensor) -> Tensor:
    """Minimise ``s @ gram @ s / 2 - products @ s`` over ``s >= 0``, rows apart.

    Block principal pivoting: weights that break an optimality condition change between held at 0
    and free, all at once while there come to be fewer of them, else only the last of them, which
    ends. Where both conditions hold, that is the minimum. Gradients follow the linear system.
    """
    with torch.no_grad():
        free = _free_weights(gram, products)
    return _on_support(gram, products, free).clamp(min=0)


def _free_weights(gram: Tensor, products: Tensor) -> Tensor:
    """Return which weights are not held at 0 in the minimum, bool [rows, n_components]."""
    n_components = len(gram)
    scale = products.amax(1, keepdim=True)  # none is below 0
    slack = 1e3 * torch.finfo(products.dtype).eps * scale
    free = torch.zeros_like(products, dtype=torch.bool)
    fewest = products.new_full((len(products), 1), n_components + 1)
    patience = torch.full_like(fewest, _PATIENCE)
    for _ in range(_ROUNDS * n_components):
        weights = _on_support(gram, products, free)
        slope = products - weights @ gram  # at most 0 where a weight is held at 0
        wrong = torch.where(free, weights * gram.diagonal() < -slack, slope > slack)
        count = wrong.sum(1, keepdim=True)
        if not bool(count.any()):
            return free
        better = count < fewest
        fewest = torch.where(better, count, fewest)
        patience = torch.where(better, _PATIENCE, patience - 1)
        last = wrong & (wrong.flip(1).cumsum(1).flip(1) == 1)
        free = free ^ torch.where(patience >= 0, wrong, last)
    raise RuntimeError("the weights of NMF did not converge; are two components alike?")


def _on_support(gram: Tensor, products: Tensor, free: Tensor) -> Tensor:
    """Return least squares over the weights that are free; the others are 0."""
    both = free[:, :, None] & free[:, None, :]
    ones = torch.diag_embed((~free).to(gram.dtype))
    system = torch.where(both, gram, 0.0) + ones
    found: Tensor = torch.linalg.solve(system, torch.where(free, products, 0.0))
    return found
