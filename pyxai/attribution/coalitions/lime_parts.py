"""The parts of LIME: weights of samples, and captum's protocol for parts of the user's own."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

from pyxai._checks import describe
from pyxai._inputs import (
    flat_features,
    format_baselines,
    format_feature_mask,
    format_inputs,
    restore_form,
    sums_at,
)

__all__ = [
    "LimeInputs",
    "check_functions",
    "check_model_of_samples",
    "cosine_weights",
    "custom_masks",
    "custom_weights",
    "fit_custom",
    "fitted",
    "mask_weights",
    "samples_of",
]


class LimeInputs:
    """Inputs, baselines and players in the form that weights need."""

    def __init__(self, inputs: Any, baselines: Any, feature_mask: Any) -> None:
        self.tensors, self.is_tuple = format_inputs(inputs)
        self.batch = self.tensors[0].shape[0]
        self.baselines = tuple(
            (
                value
                if isinstance(value, Tensor)
                else torch.tensor(value, dtype=tensor.dtype, device=tensor.device)
            ).expand_as(tensor)
            for value, tensor in zip(
                format_baselines(baselines, self.tensors), self.tensors, strict=True
            )
        )
        players = format_feature_mask(feature_mask, self.tensors)
        self.n_players = players.n_players
        self.owners = tuple(
            (
                torch.arange(tensor[0].numel(), device=tensor.device).view(1, *tensor.shape[1:])
                if owners is None
                else owners.long()
            ).expand_as(tensor)
            for owners, tensor in zip(players.maps, self.tensors, strict=True)
        )

    def example(self, row: int) -> tuple[Any, dict[str, Any]]:
        """Return one example as captum passes it on, and the options that go with it."""
        one = slice(row, row + 1)

        def pick(tensors: tuple[Tensor, ...]) -> Any:
            return restore_form(tuple(tensor[one] for tensor in tensors), self.is_tuple)

        options = {
            "baselines": pick(self.baselines),
            "feature_mask": pick(self.owners),
            "num_interp_features": self.n_players,
        }
        return pick(self.tensors), options

    def player_sums(self, left: tuple[Tensor, ...], right: tuple[Tensor, ...]) -> Tensor:
        """Return ``sum over features of a player of left * right``, float64 [batch, n_players]."""
        total = torch.zeros(
            self.batch, self.n_players, dtype=torch.float64, device=self.tensors[0].device
        )
        for first, second, owners in zip(left, right, self.owners, strict=True):
            product = flat_features(first.double() * second.double())
            total += sums_at(flat_features(owners), product, self.n_players)
        return total


def _kernel(cosine: Tensor) -> Tensor:
    """Return ``exp(-d^2 / 2)`` with d = 1 - cosine: the exponential kernel of width 1."""
    return (-(1 - cosine).square() / 2).exp()


def cosine_weights(parts: LimeInputs, masks: Tensor, whole_batch: bool) -> Tensor:
    """Weigh samples by the cosine between input and perturbed input, without making the latter.

    masks bool [n_samples, n_players] or [batch, n_samples, n_players] -> float64 [batch, n_samples]
    """
    kept = masks.double()
    inside, across, outside = (
        parts.player_sums(left, right).unsqueeze(-1)
        for left, right in (
            (parts.tensors, parts.tensors),
            (parts.tensors, parts.baselines),
            (parts.baselines, parts.baselines),
        )
    )
    if whole_batch:  # one scalar for the batch: all examples are one input
        inside, across, outside = (part.sum(0, True) for part in (inside, across, outside))
    dot = (kept @ inside + (1 - kept) @ across).squeeze(-1)
    length = (kept @ inside + (1 - kept) @ outside).squeeze(-1).sqrt()
    whole = inside.sum(1).sqrt()  # [batch, 1]
    return _kernel(dot / (whole * length).clamp(min=1e-8))


def mask_weights(masks: Tensor) -> Tensor:
    """Weigh samples by the cosine between their mask and the mask of all players."""
    return _kernel(masks.double().mean(-1).sqrt())


def custom_masks(perturb_func: Callable[..., Any], parts: LimeInputs, n_samples: int) -> Tensor:
    """Ask the user's function for masks, bool [batch, n_samples, n_players]."""
    rows = []
    for row in range(parts.batch):
        example, options = parts.example(row)
        made = samples_of(perturb_func, example, options)
        masks = [_check_mask(next(made, None), parts.n_players) for _ in range(n_samples)]
        rows.append(torch.cat(masks))
    return torch.stack(rows).to(parts.tensors[0].device)


def samples_of(
    perturb_func: Callable[..., Any], example: Any, options: dict[str, Any]
) -> Iterator[Any]:
    """Yield what the user's function makes: one sample a call, or those of a generator."""
    made = perturb_func(example, **options)
    if inspect.isgenerator(made):
        yield from made
        return
    yield made
    while True:
        yield perturb_func(example, **options)


def _check_mask(mask: Any, n_players: int) -> Tensor:
    fits = isinstance(mask, Tensor) and mask.numel() == n_players
    if not fits or not bool(((mask == 0) | (mask == 1)).all()):
        what = f"shape {list(mask.shape)}" if isinstance(mask, Tensor) else repr(mask)
        raise ValueError(
            f"perturb_func must return masks of zeros and ones of shape [1, {n_players}], "
            f"got {what}"
        )
    row: Tensor = mask.reshape(1, n_players).bool()
    return row


def custom_weights(similarity_func: Callable[..., Any], parts: LimeInputs, masks: Tensor) -> Tensor:
    """Ask the user's function for the weight of each sample, float64 [batch, n_samples]."""
    rows = []
    for row in range(parts.batch):
        example, options = parts.example(row)
        weights = []
        for mask in masks if masks.dim() == 2 else masks[row]:
            perturbed = tuple(
                torch.where(mask[owners[row]], tensor[row], baseline[row]).unsqueeze(0)
                for tensor, baseline, owners in zip(
                    parts.tensors, parts.baselines, parts.owners, strict=True
                )
            )
            weight = similarity_func(
                example, restore_form(perturbed, parts.is_tuple), mask[None].long(), **options
            )
            weights.append(float(weight))
        rows.append(weights)
    return torch.tensor(rows, dtype=torch.float64, device=masks.device)


def fit_custom(model: Any, design: Tensor, outputs: Tensor, weights: Tensor) -> Tensor:
    """Fit the user's model to each row and return its coefficients, [batch, n_players]."""
    coefficients = []
    for row in range(outputs.shape[0]):
        features = design if design.dim() == 2 else design[row]
        found = torch.as_tensor(fitted(model, features, outputs[row], weights[row])).flatten()
        if found.numel() != features.shape[1]:
            raise ValueError(
                f"interpretable_model must return {features.shape[1]} coefficients, "
                f"got {found.numel()}"
            )
        coefficients.append(found.double())
    return torch.stack(coefficients).to(outputs.device)


def fitted(model: Any, features: Tensor, outputs: Tensor, weights: Tensor) -> Any:
    """Fit the user's model to samples, in one batch, and return what it says of itself."""
    data = torch.utils.data.TensorDataset(features.float(), outputs.float(), weights.float())
    model.fit(torch.utils.data.DataLoader(data, batch_size=len(data)))
    return model.representation()


def check_model_of_samples(model: Any) -> None:
    """Raise ``TypeError`` unless a model can be fitted and says what it found, as captum's do."""
    if not (hasattr(model, "fit") and hasattr(model, "representation")):
        raise TypeError(
            f"interpretable_model must have fit and representation, got {describe(model)}"
        )


def check_functions(**functions: Any) -> None:
    """Raise ``TypeError`` for what is neither None nor callable."""
    for name, value in functions.items():
        if value is not None and not callable(value):
            raise TypeError(f"{name} must be callable, got {describe(value)}")
