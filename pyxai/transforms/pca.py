"""Principal components as coordinates."""

from __future__ import annotations

import torch
from torch import Tensor

from pyxai._extras import optional
from pyxai.transforms.dictionary import DictionaryTransform

__all__ = ["PCATransform"]


class PCATransform(DictionaryTransform):
    """Weights of principal components, fitted by scikit-learn.

    ``T(x) = (x - mean) @ pinv(components)`` and ``inverse(s) = s @ components + mean``. Fewer
    components than features make the transform lossy.

    Parameters
    ----------
    n_components : int, optional
        How many; default: as many as examples or features, whichever is less.
    seed : int
        Of scikit-learn's randomised solvers.
    **options
        Further arguments of ``sklearn.decomposition.PCA``. With ``whiten=True`` the weights have
        variance 1.

    Examples
    --------
    >>> import torch
    >>> from pyxai.transforms import PCATransform
    >>> line = PCATransform(1).fit(torch.tensor([[0.0, 0.0], [3.0, 4.0]]))
    >>> line(torch.tensor([[0.0, 0.0], [3.0, 4.0]])).abs()  # half the distance of 5
    tensor([[2.5000],
            [2.5000]])
    """

    def _fit(self, rows: Tensor) -> tuple[Tensor, Tensor | None]:
        with optional("PCATransform.fit needs", "scikit-learn>=1.6", "transforms"):
            from sklearn.decomposition import PCA
        model = PCA(self.n_components, random_state=self.seed, **self.options)
        model.fit(rows.cpu().numpy())
        components = torch.from_numpy(model.components_)
        if model.whiten:
            components = components * torch.from_numpy(model.explained_variance_).sqrt()[:, None]
        return components.to(rows), torch.from_numpy(model.mean_).to(rows)

    def analyse(self, inputs: Tensor) -> Tensor:
        """Return the weights [batch, ..., n_components]."""
        back: Tensor = torch.linalg.pinv(self.fitted())
        return self._centred(inputs) @ back.to(inputs)
