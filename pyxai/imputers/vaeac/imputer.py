"""Absent features are drawn by an auto-encoder that is conditioned on the present ones."""

from __future__ import annotations

import copy
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from pyxai._checks import check_choice, check_int, check_number, describe
from pyxai.imputers import store
from pyxai.imputers.fitted import FittedImputer, Numbers
from pyxai.imputers.vaeac.networks import ConvolutionalNetworks, DenseNetworks, Networks
from pyxai.imputers.vaeac.training import random_masks, train
from pyxai.runner.state import random_state_kept

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["VAEAC"]

_ELEMENTS = 2**22  # of the rows that go through the decoder at once

_NOT_WRITTEN = ("networks", "law")  # to files


class VAEAC(FittedImputer):
    """Draw absent features by a variational auto-encoder with arbitrary conditioning.

    A code is drawn given the present features, ``t ~ p(t | x_p)``, and decoded together with them,
    ``u ~ N(m(t, x_p), s(t, x_p)^2)``. Trained once, it serves all masks.

    Parameters
    ----------
    n_latent : int
        Size of the code.
    width : int
        Of hidden layers; of images: channels of the first one.
    depth : int
        Hidden layers; of images: how often they are halved.
    n_draws : int
        Draws for each example and mask, each of a code of its own.
    values : str
        ``"draws"``: with the noise of the decoder; ``"mean"``: m alone, so that draws differ by
        their codes.
    law : callable, optional
        ``law(shape, generator)`` draws which features are present in training, bool of ``shape``
        [rows, *feat]; default: any share of them, of images also rectangles.
    networks : Networks, optional
        Networks of yours instead of those that ``n_latent``, ``width`` and ``depth`` make.
    epochs, batch_size, lr
        Of the training, by Adam.
    seed : int
        Of the training, which does not touch the global random state.

    Raises
    ------
    ValueError
        If a number is out of range.
    TypeError
        If ``law`` cannot be called or ``networks`` are none.

    Notes
    -----
    One input of rows [channels, height, width] is taken for images, everything else for vectors.
    Rows are standardised, of images by one mean and deviation. The networks that look at the
    present features run once for each mask, the decoder once for each draw.

    References
    ----------
    .. [1] O. Ivanov, M. Figurnov, D. Vetrov, "Variational Autoencoder with Arbitrary Conditioning",
       ICLR 2019.

    Examples
    --------
    >>> import torch
    >>> from pyxai.imputers import VAEAC
    >>> rows = torch.randn(100, 3, generator=torch.Generator().manual_seed(0))
    >>> imputer = VAEAC(n_latent=2, width=8, epochs=1).fit(rows)
    >>> len(imputer.history)
    1
    """

    history: tuple[float, ...] = ()
    """Mean bound of each epoch of `fit`, in nats of standardised rows."""

    def __init__(
        self,
        n_latent: int = 16,
        width: int = 64,
        depth: int = 2,
        *,
        n_draws: int = 1,
        values: str = "draws",
        law: Callable[[tuple[int, ...], torch.Generator], Tensor] | None = None,
        networks: Networks | None = None,
        epochs: int = 50,
        batch_size: int = 64,
        lr: float = 1e-3,
        seed: int = 0,
    ) -> None:
        super().__init__(n_draws=n_draws)
        self.n_latent = check_int("n_latent", n_latent, minimum=1)
        self.width = check_int("width", width, minimum=1)
        self.depth = check_int("depth", depth, minimum=1)
        self.values = check_choice("values", values, ("draws", "mean"))
        if law is not None and not callable(law):
            raise TypeError(f"law must be callable, got {describe(law)}")
        if networks is not None and not isinstance(networks, Networks):
            raise TypeError(f"networks must be Networks, got {describe(networks)}")
        self.law, self.networks = law, networks
        self.epochs = check_int("epochs", epochs, minimum=1)
        self.batch_size = check_int("batch_size", batch_size, minimum=1)
        self.lr = check_number("lr", lr)
        if self.lr <= 0:
            raise ValueError(f"lr must be positive, got {lr!r}")
        self.seed = check_int("seed", seed, minimum=0)
        self._has_own_networks = networks is None
        self._shift = self._scale = torch.zeros(1, dtype=torch.float64)

    def _fit(self, rows: Tensor) -> None:
        images = len(self._row_shape) == 3
        axes = (0, 1) if images else (0,)
        self._shift = rows.mean(axes, keepdim=True).squeeze(0)
        deviation = rows.std(axes, correction=0, keepdim=True).squeeze(0)
        self._scale = torch.where(deviation > 0, deviation, 1.0)
        values = ((rows - self._shift) / self._scale).float().view(-1, *self._row_shape)
        with random_state_kept(), torch.inference_mode(False), torch.enable_grad():
            if self._has_own_networks:
                torch.manual_seed(self.seed)
                self.networks = self._built()
            assert self.networks is not None
            self.history = tuple(
                train(
                    self.networks.to(rows.device),
                    values,
                    law=self.law or random_masks,
                    epochs=self.epochs,
                    batch_size=self.batch_size,
                    lr=self.lr,
                    seed=self.seed,
                )
            )

    @property
    def _row_shape(self) -> tuple[int, ...]:
        """Shape of a row for the networks: of an image its own, of all else one dimension."""
        shapes = self.shapes or ()
        if len(shapes) == 1 and len(shapes[0]) == 3:
            return shapes[0]
        return (sum(torch.Size(shape).numel() for shape in shapes),)

    def _built(self) -> Networks:
        shape = self._row_shape
        if len(shape) == 3:
            return ConvolutionalNetworks(shape, self.n_latent, self.width, self.depth)
        return DenseNetworks(shape[0], self.n_latent, self.width, self.depth)

    def check(self, inputs: tuple[Tensor, ...]) -> Self:
        """Return this imputer on the device of ``inputs``, in float64 if one of these is."""
        ready = super().check(inputs)
        if ready.networks and any(value.dtype == torch.float64 for value in inputs):
            ready.networks = copy.deepcopy(ready.networks).double()
        return ready

    def _moved(self, device: torch.device) -> Self:
        other = self.with_draws(self.n_draws)
        assert self.networks is not None
        if self._shift.device != device:
            other._shift, other._scale = self._shift.to(device), self._scale.to(device)
            other.networks = copy.deepcopy(self.networks).to(device)
        return other

    def _drawn(self, flat: Tensor, present: Tensor, numbers: Numbers) -> Tensor:
        networks = self.networks
        assert networks is not None
        batch, n_masks, features = present.shape
        dtype = next(networks.parameters()).dtype
        values = ((flat.double() - self._shift) / self._scale).to(dtype)
        shown = present.flatten(0, 1)
        kept = torch.where(present, values.unsqueeze(1), 0.0).flatten(0, 1)
        noise = numbers.normal((networks.n_latent,), 0, dtype)
        noise = noise.expand(batch, n_masks, -1, -1).flatten(0, 1)  # [masks, draws, n_latent]
        step = max(1, _ELEMENTS // (numbers.n_draws * features))
        out = kept.new_empty((len(kept), numbers.n_draws, features))
        deviations = torch.empty_like(out) if self.values == "draws" else None
        for first in range(0, len(kept), step):
            part = slice(first, first + step)
            row_shape = (-1, *self._row_shape)
            prior, memories = networks.prior(
                kept[part].view(row_shape), shown[part].to(dtype).view(row_shape)
            )
            codes = prior.mean.unsqueeze(1) + prior.deviation.unsqueeze(1) * noise[part]
            many = [memory.repeat_interleave(numbers.n_draws, 0) for memory in memories]
            found = networks.decoder(codes.flatten(0, 1), many)
            out[part] = found.mean.reshape(-1, numbers.n_draws, features)
            if deviations is not None:
                deviations[part] = found.deviation.reshape(-1, numbers.n_draws, features)
        out = out.view(batch, n_masks, numbers.n_draws, features)
        if deviations is not None:
            normal = numbers.normal((features,), 1, dtype)
            out.addcmul_(deviations.view_as(out), normal.expand(out.shape))
        return out.mul_(self._scale.to(dtype)).add_(self._shift.to(dtype))

    def _fields(self) -> dict[str, Any]:
        own = {name: value for name, value in vars(self).items() if name not in _NOT_WRITTEN}
        state = {} if self.networks is None else dict(self.networks.state_dict())
        return {**own, "state": state}

    @classmethod
    def _of_fields(cls, fields: dict[str, Any], networks: Networks | None = None) -> Self:
        state = fields.pop("state")
        if networks is None and not fields["_has_own_networks"]:
            raise ValueError(
                "networks must be given to load an imputer that was made with some, got None"
            )
        made = cls(networks=networks)
        vars(made).update(fields)
        if state:
            with random_state_kept():
                made.networks = networks or made._built()
            made.networks.load_state_dict(state)
            made.networks.eval()
        return made

    @classmethod
    def load(cls, path: str | os.PathLike[str], networks: Networks | None = None) -> Self:
        """Read an imputer from a file.

        Parameters
        ----------
        path : str or path
            What `save` wrote.
        networks : Networks, optional
            Where the imputer was made with networks: some like them, which get their parameters.

        Returns
        -------
        VAEAC

        Raises
        ------
        FileNotFoundError
            If there is no such file.
        ValueError
            If the file holds something else, or networks are missing.
        """
        return store.read(Path(path), cls, lambda _, fields: cls._of_fields(fields, networks))
