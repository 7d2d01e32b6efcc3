"""Absent features are decoded from draws of a mixture in the code of an auto-encoder."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from pyxai._checks import check_choice, check_finite, check_int, check_number, describe
from pyxai.imputers import store
from pyxai.imputers.base import Imputer
from pyxai.imputers.fitted import Numbers
from pyxai.imputers.mixtures.gaussian_mixture import GaussianMixture
from pyxai.imputers.rows import rows_of
from pyxai.runner.state import find_modules, left_as_found

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["LatentMixture"]

_ROWS = 1024  # that go through a network at once

Network = Callable[[Tensor], Tensor]


class LatentMixture(Imputer):
    """Encode what is present, draw a component of a mixture of codes by it, decode a draw from it.

    ``s = encoder(z x + (1 - z) fill)``, ``c ~ w_c N(s; m_c, C_c)``, ``t ~ N(m_c, C_c)``,
    ``u = decoder(t)``, with diagonal C.

    Parameters
    ----------
    encoder, decoder : callable
        From rows [rows, *feat] to codes [rows, n] and back; modules or functions of yours, trained
        before. They are run in evaluation mode and left as they are found.
    n_components : int
        Components of the mixture of codes.
    fill : float
        What absent features are set to for the encoder, in input units.
    n_draws : int
        Draws for each example and mask.
    values : str
        ``"draws"`` of codes from the drawn component, or its ``"mean"``.
    floor : float
        Added to the variances of codes.
    seed : int
        Of the fit.

    Raises
    ------
    ValueError
        If a number is out of range.
    TypeError
        If a network cannot be called.

    Notes
    -----
    For one input tensor. The encoder runs once for each mask, the decoder once for each draw. `fit`
    needs scikit-learn. `save` writes the mixture alone; `load` is given the networks again.

    References
    ----------
    .. [1] H. Senetaire, D. Garreau, J. Frellsen, P.-A. Mattei, "Explainability as statistical
       inference", ICML 2023.

    Examples
    --------
    >>> import torch
    >>> from pyxai.imputers import LatentMixture
    >>> rows = torch.randn(50, 6, generator=torch.Generator().manual_seed(0))
    >>> imputer = LatentMixture(lambda x: x[:, :2], lambda s: s.repeat(1, 3), 3).fit(rows)
    >>> imputer.n_draws
    1
    """

    conditional = True

    def __init__(
        self,
        encoder: Network,
        decoder: Network,
        n_components: int = 20,
        *,
        fill: float = 0.0,
        n_draws: int = 1,
        values: str = "draws",
        floor: float = 1e-3,
        seed: int = 0,
    ) -> None:
        for name, network in (("encoder", encoder), ("decoder", decoder)):
            if not callable(network):
                raise TypeError(f"{name} must be callable, got {describe(network)}")
        self.encoder, self.decoder = encoder, decoder
        self.fill = check_number("fill", fill)
        self.n_draws = check_int("n_draws", n_draws, minimum=1)
        self._codes = GaussianMixture(
            n_components,
            values=check_choice("values", values, ("draws", "mean")),
            floor=floor,
            seed=seed,
        )
        self._shape: tuple[int, ...] | None = None

    def fit(self, data: Any) -> Self:
        """Fit the mixture to the codes of rows; see `GaussianMixture.fit`."""
        rows = rows_of(data)
        if len(rows) != 1:
            raise ValueError(f"data must be one tensor, got {len(rows)} tensors")
        codes = self._run("encoder", rows[0])
        if codes.dim() != 2:
            raise ValueError(
                f"encoder must return codes of shape [rows, n], got {list(codes.shape)}"
            )
        self._codes.fit(codes)
        self._shape = tuple(rows[0].shape[1:])
        self._decoded(codes[:1])
        return self

    def check(self, inputs: tuple[Tensor, ...]) -> Self:
        """Return this imputer on the device of ``inputs``; the networks must be there."""
        if self._shape is None:
            raise ValueError("imputer must be fitted, got a LatentMixture before fit()")
        shapes = [tuple(value.shape[1:]) for value in inputs]
        if shapes != [self._shape]:
            raise ValueError(
                f"inputs must have rows of shape {list(self._shape)} like the data that the "
                f"imputer was fitted on, got {[list(shape) for shape in shapes]}"
            )
        ready = self.with_draws(self.n_draws)
        ready._codes = self._codes._moved(inputs[0].device)
        return ready

    def draw(
        self,
        inputs: tuple[Tensor, ...],
        masks: tuple[Tensor, ...] | None,
        *,
        seed: int,
        example_ids: Tensor,
    ) -> tuple[Tensor, ...]:
        """Return what is decoded, ``[batch, n_masks, n_draws, *feat]``."""
        if masks is None:
            raise TypeError(f"masks must be given for conditional draws, got {describe(masks)}")
        (values,), (present,) = inputs, masks
        shown = torch.where(present, values.detach().unsqueeze(1), self.fill)
        codes = self._run("encoder", shown.flatten(0, 1))
        names = example_ids if example_ids.dim() == 2 else example_ids.unsqueeze(1)
        names = names.expand(present.shape[:2]).reshape(-1)
        everything = torch.ones_like(codes, dtype=torch.bool).unsqueeze(1)
        # Components are drawn by the whole code, and the code is drawn anew by the component.
        drawn = self._codes._drawn(codes, everything, Numbers(self.n_draws, seed, names))
        decoded = self._decoded(drawn.flatten(0, 2).to(codes.dtype))
        return (decoded.view(*present.shape[:2], self.n_draws, *values.shape[1:]).to(values.dtype),)

    def _decoded(self, codes: Tensor) -> Tensor:
        rows = self._run("decoder", codes)
        if tuple(rows.shape[1:]) != self._shape:
            raise ValueError(
                f"decoder must return rows of shape {list(self._shape or ())}, "
                f"got {list(rows.shape[1:])}"
            )
        return rows

    def _run(self, name: str, rows: Tensor) -> Tensor:
        """Return what a network makes of rows, in evaluation mode."""
        network = getattr(self, name)
        modules = find_modules(network)
        with left_as_found(modules), torch.no_grad():
            for module in modules:
                module.training = False
            parts = [network(part) for part in torch.split(rows, _ROWS)]
        for part in parts:
            if not isinstance(part, Tensor):
                raise TypeError(f"{name} must return a tensor, got {describe(part)}")
        found = torch.cat(parts)
        check_finite(f"what {name} returns", found)
        return found

    def _fields(self) -> dict[str, Any]:
        own = {name: value for name, value in vars(self).items() if name not in _NETWORKS}
        return {**own, "_codes": vars(self._codes)}

    @classmethod
    def _of_fields(cls, fields: dict[str, Any]) -> Self:
        raise ValueError(
            "path must hold an imputer without networks of its own, got a LatentMixture: "
            "LatentMixture.load takes them"
        )

    @classmethod
    def load(
        cls,
        path: str | os.PathLike[str],
        encoder: Any = None,
        decoder: Any = None,
    ) -> Self:
        """Read an imputer from a file; the networks are given again, as they are not in it.

        Parameters
        ----------
        path : str or path
            What `save` wrote.
        encoder, decoder : callable
            See the class.

        Returns
        -------
        LatentMixture

        Raises
        ------
        FileNotFoundError
            If there is no such file.
        ValueError
            If the file holds something else.
        TypeError
            If a network is missing.
        """
        made = cls(encoder, decoder)

        def build(_: Any, fields: dict[str, Any]) -> None:
            codes = GaussianMixture._of_fields(fields.pop("_codes"))
            vars(made).update(fields, _codes=codes)

        store.read(Path(path), cls, build)
        return made


_NETWORKS = ("encoder", "decoder")
