"""Whether the largest values, or most of them, lie where the truth is."""

from __future__ import annotations

import torch
from torch import Tensor

from pyxai._checks import check_choice, check_int, check_tensor, describe
from pyxai._inputs import flat_features
from pyxai.metrics.rows import rows_of, scaled
from pyxai.runner import takes_arrays

__all__ = ["grid_point_game", "point_game"]


@takes_arrays
def point_game(attributions: Tensor, truth: Tensor, *, mode: str = "hit") -> Tensor:
    """Compare attributions with a known region.

    Parameters
    ----------
    attributions : Tensor, shape [batch, *features]
        Any units.
    truth : Tensor, shape of ``attributions`` or one that broadcasts to it
        bool: True inside the region.
    mode : "hit" or "mass"
        1 if the largest attribution (the first of equals) lies inside, else 0; or the share of the
        positive attribution that lies inside, 0 where there is none.

    Returns
    -------
    Tensor, shape [batch]
        float64.

    Raises
    ------
    ValueError
        If shapes do not fit or an argument is out of range.
    TypeError
        If something is not a tensor, or ``truth`` is not bool.

    References
    ----------
    .. [1] J. Zhang et al., "Top-Down Neural Attention by Excitation Backprop", IJCV 126, 2018,
       section 4.2 (hit).
    """
    check_choice("mode", mode, ("hit", "mass"))
    values = scaled(rows_of("attributions", check_tensor("attributions", attributions)))
    check_tensor("truth", truth)
    if truth.dtype != torch.bool:
        raise TypeError(f"truth must be bool, got {truth.dtype}")
    try:
        inside = flat_features(truth.expand_as(attributions))
    except RuntimeError as error:
        raise ValueError(
            f"truth must broadcast to {list(attributions.shape)}, got {list(truth.shape)}"
        ) from error
    if mode == "hit":
        return inside.gather(1, values.argmax(1, keepdim=True))[:, 0].double()
    positive = values.clamp(min=0)
    total = positive.sum(1)
    share = (positive * inside).sum(1) / total
    return torch.where(total > 0, share, torch.zeros_like(total))


@takes_arrays
def grid_point_game(attributions: Tensor, cells: int, cell: Tensor) -> Tensor:
    """Return the share of positive attribution inside the cell of the explained class.

    Parameters
    ----------
    attributions : Tensor, shape [batch, channels, height, width] or [batch, height, width]
        Explanations of images that tile ``cells`` x ``cells`` images of different classes;
        channels are summed first.
    cells : int
        Cells along a side; height and width are divisible by it.
    cell : Tensor, shape [batch]
        Integers: the row-major number of the explained class's cell.

    Returns
    -------
    Tensor, shape [batch]
        float64 in [0, 1]; 0 where no attribution is positive.

    Raises
    ------
    ValueError
        If a size does not fit.
    TypeError
        If something is not a tensor, or ``cell`` does not hold integers.

    References
    ----------
    .. [1] M. Boehle, M. Fritz, B. Schiele, "Convolutional Dynamic Alignment Networks for
       Interpretable Classifications", CVPR 2021, section 4.3.
    """
    check_tensor("attributions", attributions)
    if attributions.dim() not in (3, 4):
        raise ValueError(
            "attributions must have shape [batch, channels, height, width] or [batch, height, "
            f"width], got {list(attributions.shape)}"
        )
    rows_of("attributions", attributions)
    maps = attributions.detach().double()
    maps = maps.sum(1) if maps.dim() == 4 else maps
    height, width = maps.shape[1:]
    check_int("cells", cells, minimum=1)
    if height % cells or width % cells:
        raise ValueError(f"cells must divide height {height} and width {width}, got {cells}")
    check_tensor("cell", cell)
    if cell.is_floating_point() or cell.is_complex() or cell.dtype == torch.bool:
        raise TypeError(f"cell must hold integers, got {cell.dtype}")
    if cell.shape != (len(maps),) or bool((cell < 0).any()) or bool((cell >= cells**2).any()):
        raise ValueError(
            f"cell must hold {len(maps)} numbers from 0 to {cells**2 - 1}, got {describe(cell)}"
        )
    rows = torch.arange(height, device=maps.device) // (height // cells)
    columns = torch.arange(width, device=maps.device) // (width // cells)
    owner = rows[:, None] * cells + columns
    return point_game(maps, owner == cell.to(maps.device)[:, None, None], mode="mass")
