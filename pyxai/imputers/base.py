"""The contract of an imputer: what absent features are replaced by.

Two kinds of callers ask an imputer, both through `Imputer.draw`.

* **Games** (`pyxai.Game`, so every perturbation method and metric): masks are hard, and the draws
  of an example are the same random numbers for all its masks, so that values differ by the masks
  and not by luck.
* **Training** (`pyxai.lex`): ``n_masks`` masks for each of ``batch`` rows, ``n_draws`` values for
  each mask, and each mask draws for itself: `mask_ids` makes ids of shape ``[batch, n_masks]``.
  `pyxai.imputers.impute` draws and blends in one call, also where masks are relaxed to [0, 1], and
  is differentiable in them. An imputer always sees hard masks: a feature is present to it where its
  weight is above 1/2.

What holds for every imputer, and is tested over all of them:

1. **Kept values are exact.** Blending is the caller's (`impute`, `Game`): a present feature keeps
   its value bit by bit, whatever is drawn for it.
2. **Removed values never leak.** Draws do not change when values at absent features do, whatever
   these are. Only ``example_ids`` names the example, and who needs this strictly gives ids of their
   own: those that `Game` makes by default hash the whole row.
3. **One seed, one answer.** Draw s of an example is a function of ``(seed, id, s)``, its mask and
   its present values: not of the batch, the order, or the chunks in which rows or masks come. Draws
   0 .. n - 1 are the same for every ``n_draws >= n``.
4. **Draws carry no gradient**, neither to the inputs nor to what was fitted; only values that
   `Imputer.parameters` names are trained through.
5. `Imputer.check` comes first: it compares shapes, moves what was fitted to the device of the
   inputs, and raises where nothing was fitted yet. It returns what `draw` is called on, once for
   many batches.
"""

from __future__ import annotations

import copy
import os
from abc import ABC, abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor

from pyxai._checks import check_int
from pyxai.imputers import store

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["IMPUTER_STREAM", "Draws", "Imputer"]

# Philox stream of all imputers: independent of the coalitions that are drawn with the same seed.
# What an imputer draws besides its first numbers comes from the streams that follow.
IMPUTER_STREAM = 0x494D50

Draws = tuple[Tensor | float, ...]


class Imputer(ABC):
    """A way to remove features: it draws values for them.

    The value of a coalition is the mean over ``n_draws`` rows in which the features of absent
    players come from the draws. A new imputer is one class with `draw`, and `check` if it has
    something to compare with the inputs. What holds for all of them is said in
    `pyxai.imputers.base`.

    Attributes
    ----------
    n_draws : int
        Draws for each example (and mask); `with_draws` changes it.
    conditional : bool
        Whether draws depend on which features are present. If not, `draw` gets no masks, and one
        set of draws serves all masks of an example.
    antithetic : bool
        Whether draws 2k and 2k + 1 are opposites, so that pairs of them, not single ones, are
        independent.
    exact : bool
        Whether the draws are all there is, so that means over them are exact.
    """

    conditional: bool = False
    antithetic: bool = False
    exact: bool = False
    n_draws: int = 1

    @abstractmethod
    def draw(
        self,
        inputs: tuple[Tensor, ...],
        masks: tuple[Tensor, ...] | None,
        *,
        seed: int,
        example_ids: Tensor,
    ) -> Draws:
        """Draw values for the features of each example.

        Parameters
        ----------
        inputs : tuple of Tensor, shape [batch, *feat] each
            The examples, any part of a larger set.
        masks : tuple of Tensor, shape [batch, n_masks, *feat] each, or None
            bool, True where the feature is present; None unless ``conditional``.
        seed : int
            With the ids, the whole source of randomness; `pyxai.imputers.noise` makes numbers of
            them.
        example_ids : Tensor, shape [batch] or [batch, n_masks]
            int64, on the device of the inputs. Names of the examples: all masks of an example get
            the same random numbers; or a name for each mask, which then draws for itself.

        Returns
        -------
        tuple of float or Tensor
            For each input tensor a number, or values of its dtype. Unless ``conditional``:
            ``[1 or batch, n_draws, *feat]``, for ids of masks
            ``[1 or batch, 1 or n_masks, n_draws, *feat]`` where masks draw for themselves. If
            ``conditional``: ``[batch, n_masks, n_draws, *feat]``. Values of present features are
            not used.
        """

    def check(self, inputs: tuple[Tensor, ...]) -> Imputer:
        """Return an imputer ready for ``inputs``, or raise if it does not fit them.

        Raises
        ------
        ValueError
            If a shape or a device does not match, or the imputer is not fitted.
        TypeError
            If a dtype does not match.
        """
        return self

    def with_draws(self, n_draws: int) -> Self:
        """Return a copy that draws ``n_draws`` times.

        One that has nothing to draw, such as a constant, stays as it is: its ``n_draws`` says how
        many rows there will be.

        Raises
        ------
        ValueError
            If ``n_draws`` is below 1.
        """
        n_draws = check_int("n_draws", n_draws, minimum=1)
        other = copy.copy(self)
        other.n_draws = n_draws
        return other

    def parameters(self) -> tuple[Tensor, ...]:
        """Return what is trained with the model explained, as `nn.Parameter`; mostly none."""
        return ()

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the imputer to a file: tensors as safetensors, the rest as JSON in its header.

        Parameters
        ----------
        path : str or path
            In a folder that exists.

        Returns
        -------
        Path
            The file.

        Raises
        ------
        FileNotFoundError
            If there is no such folder.
        TypeError
            If it holds something that cannot be written, such as a function.
        """
        return store.write(type(self).__name__, self._fields(), Path(path))

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Read an imputer from a file that `save` wrote.

        ``Imputer.load`` reads any, a class its own kind.

        Raises
        ------
        FileNotFoundError
            If there is no such file.
        ValueError
            If the file holds something else.
        """
        made: Self = store.read(Path(path), cls, lambda found, fields: found._of_fields(fields))
        return made

    def _fields(self) -> dict[str, Any]:
        """Return what the imputer is made of, for `save`."""
        return vars(self)

    @classmethod
    def _of_fields(cls, fields: dict[str, Any]) -> Self:
        """Return the imputer that is made of these fields."""
        made = cls.__new__(cls)
        vars(made).update(fields)
        return made
