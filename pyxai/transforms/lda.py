"""Topics of texts as coordinates."""

from __future__ import annotations

import torch
from torch import Tensor

from pyxai._extras import optional
from pyxai.transforms.dictionary import DictionaryTransform
from pyxai.transforms.nmf import check_sign

__all__ = ["LDATransform"]

_ROUNDS = 500


class LDATransform(DictionaryTransform):
    """How many words of a text each topic accounts for, with topics fitted by scikit-learn.

    A topic is a distribution over words, ``inverse(s) = s @ topics`` the expected count of each
    word, and ``T(x)`` the most likely s of word counts x: it minimises ``sum(s) - x @ log(s @
    topics)`` over ``s >= 0``.

    Parameters
    ----------
    n_components : int, optional
        How many topics; default: as scikit-learn has it.
    seed : int
        Of scikit-learn's start.
    **options
        Further arguments of ``sklearn.decomposition.LatentDirichletAllocation``.

    Notes
    -----
    ``T(x)`` is found by 500 rounds of expectation and maximisation from equal shares. The prior
    over topics of scikit-learn's model is left out, so that s adds up to the number of words.

    References
    ----------
    .. [1] D. M. Blei, A. Y. Ng, M. I. Jordan, "Latent Dirichlet Allocation", JMLR 3, 2003.

    Examples
    --------
    >>> import torch
    >>> from pyxai.transforms import LDATransform
    >>> topics = torch.tensor([[0.5, 0.5, 0.0], [0.0, 0.0, 1.0]])
    >>> LDATransform.from_components(topics)(torch.tensor([[3.0, 1.0, 5.0]]))
    tensor([[4., 5.]])
    """

    def _fit(self, rows: Tensor) -> tuple[Tensor, Tensor | None]:
        with optional("LDATransform.fit needs", "scikit-learn>=1.6", "transforms"):
            from sklearn.decomposition import LatentDirichletAllocation
        check_sign("data", rows, "LDA")
        options = {"random_state": self.seed, **self.options}
        if self.n_components is not None:
            options["n_components"] = self.n_components
        model = LatentDirichletAllocation(**options)
        model.fit(rows.cpu().numpy())
        topics = torch.from_numpy(model.components_).to(rows)
        return topics / topics.sum(1, keepdim=True), None

    def _set(self, components: Tensor, offset: Tensor | None) -> None:
        if offset is not None:
            raise ValueError("offset must be None for topics, got a tensor")
        super()._set(components, None)
        check_sign("components", self.fitted(), "LDA")

    def analyse(self, inputs: Tensor) -> Tensor:
        """Return the counts [batch, ..., n_components]; in float64 inside."""
        check_sign("inputs", inputs, "LDA")
        counts = self._centred(inputs).double()
        topics = self.fitted().to(counts)
        sizes = topics.sum(1)
        found = (counts.sum(-1, keepdim=True) / (len(topics) * sizes)).clone()
        for _ in range(_ROUNDS):
            expected = found @ topics
            # A word that no topic has is nobody's.
            ratio = torch.where(expected > 0, counts / expected.clamp(min=1e-300), 0.0)
            found = found * (ratio @ topics.T) / sizes
        return found.to(inputs.dtype)
