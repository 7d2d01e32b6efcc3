"""Sparse polynomials: exact Taylor terms by a binomial shift, no derivatives taken."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from pyxai._checks import check_int, check_number, check_shape, check_tensor
from pyxai.taylor.effects.terms import TaylorTerms, default_names, degree_vectors

__all__ = ["Polynomial"]


class Polynomial:
    """A polynomial in n variables, ``sum over kappa of c[kappa] * prod x_i^kappa_i``.

    It is a model (call it with ``[batch, n]``) and knows its own Taylor terms at any baseline, so
    it is the reference for everything in ``pyxai.taylor``.

    Parameters
    ----------
    coefficients : mapping from exponents to float
        ``{(2, 0): 1.0, (1, 1): 3.0}`` is x1^2 + 3 x1 x2. All keys have the same length.

    Raises
    ------
    ValueError
        If there is no term, or the exponents differ in length or are negative.

    Examples
    --------
    >>> terms = Polynomial({(2, 0): 1.0, (1, 1): 3.0}).taylor_terms(torch.tensor([[2.0, 1.0]]))
    >>> terms.to_dict()
    {(2, 0): 4.0, (1, 1): 6.0}
    """

    def __init__(self, coefficients: Mapping[tuple[int, ...], float]) -> None:
        lengths = {len(kappa) for kappa in coefficients}
        if len(lengths) != 1 or min(lengths) == 0:
            raise ValueError(
                "coefficients must have exponents of one positive length, "
                f"got lengths {sorted(lengths)}"
            )
        if any(k < 0 for kappa in coefficients for k in kappa):
            raise ValueError("coefficients must have exponents of at least 0, got a negative one")
        self.coefficients = {tuple(k): float(c) for k, c in coefficients.items() if c != 0}
        self.n_variables = lengths.pop()

    @property
    def degree(self) -> int:
        """Largest total degree of a term."""
        return max((sum(kappa) for kappa in self.coefficients), default=0)

    @classmethod
    def random(
        cls, n_variables: int, degree: int, *, generator: torch.Generator, density: float = 1.0
    ) -> Polynomial:
        """Return a polynomial with normal coefficients on a share of all terms up to a degree.

        Parameters
        ----------
        n_variables, degree : int
            How many variables, and the largest total degree of a term.
        generator : torch.Generator
            Where the coefficients come from.
        density : float
            Chance of each term to be there, 0 to 1; one always is.
        """
        check_int("n_variables", n_variables, minimum=1)
        check_int("degree", degree, minimum=0)
        if not 0 <= check_number("density", density) <= 1:
            raise ValueError(f"density must be from 0 to 1, got {density}")
        kappas = torch.cat([degree_vectors(n_variables, order) for order in range(degree + 1)])
        keep = torch.rand(len(kappas), generator=generator) <= density
        keep[-1] = True  # never empty
        values = torch.randn(len(kappas), generator=generator, dtype=torch.float64)
        rows = zip(kappas[keep].tolist(), values[keep].tolist(), strict=True)
        return cls({tuple(kappa): value for kappa, value in rows})

    def __call__(self, points: Tensor) -> Tensor:  # [batch, n] -> [batch]
        """Evaluate at ``points``; products of powers only, so that every derivative is exact."""
        check_shape("points", check_tensor("points", points), (None, self.n_variables))
        powers = [torch.ones_like(points)]  # powers[k] = points ** k
        for _ in range(max((max(kappa) for kappa in self.coefficients), default=0)):
            powers.append(powers[-1] * points)
        total = torch.zeros_like(points[:, 0])
        for kappa, coefficient in self.coefficients.items():
            term = torch.full_like(total, coefficient)
            for variable, exponent in enumerate(kappa):
                if exponent:
                    term = term * powers[exponent][:, variable]
            total = total + term
        return total

    def shift(self, baseline: Sequence[float]) -> Polynomial:
        """Return the polynomial q with ``q(x - baseline) = p(x)``.

        Binomial expansion, one variable at a time: O(terms * prod(kappa_i + 1)).
        """
        if len(baseline) != self.n_variables:
            raise ValueError(f"baseline must have {self.n_variables} entries, got {len(baseline)}")
        current = dict(self.coefficients)
        for variable, start in enumerate(baseline):
            if start == 0:
                continue
            shifted: dict[tuple[int, ...], float] = {}
            for kappa, coefficient in current.items():
                top = kappa[variable]
                for low in range(top + 1):
                    key = (*kappa[:variable], low, *kappa[variable + 1 :])
                    part = coefficient * math.comb(top, low) * float(start) ** (top - low)
                    shifted[key] = shifted.get(key, 0.0) + part
            current = shifted
        constant = (0,) * self.n_variables
        return Polynomial({constant: 0.0, **current} if current else {constant: 0.0})

    def taylor_terms(self, inputs: Tensor, baseline: Sequence[float] | None = None) -> TaylorTerms:
        """Return all Taylor terms between ``baseline`` (default 0) and ``inputs``; exact.

        Parameters
        ----------
        inputs : Tensor, shape [batch, n]
            End points, in input units.
        baseline : sequence of n floats, optional
            Point of expansion, the same for all rows.

        Returns
        -------
        TaylorTerms
            Every non-zero term; the residual is rounding.
        """
        check_shape("inputs", check_tensor("inputs", inputs), (None, self.n_variables))
        inputs = inputs.double().cpu()  # where all terms are
        start = [0.0] * self.n_variables if baseline is None else [float(b) for b in baseline]
        shifted = self.shift(start)
        kept = {k: c for k, c in shifted.coefficients.items() if sum(k) > 0}
        kappas = torch.tensor(list(kept), dtype=torch.int64).reshape(-1, self.n_variables)
        factors = torch.tensor(list(kept.values()), dtype=torch.float64)
        delta = inputs - torch.tensor(start, dtype=torch.float64)
        values = (delta[:, None, :] ** kappas).prod(-1) * factors
        constant = shifted.coefficients.get((0,) * self.n_variables, 0.0)
        return TaylorTerms(
            kappas=kappas,
            values=values,
            value=self(inputs),
            baseline_value=torch.full((len(inputs),), constant, dtype=torch.float64),
            max_order=max(self.degree, 1),
            analytic=True,
            anchor="baseline",
            names=default_names(self.n_variables),
        )

    def __repr__(self) -> str:
        return f"Polynomial({self.coefficients})"
