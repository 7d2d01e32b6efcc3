"""What the maps of an audit say together."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from pyxai.audit import ClassMaps
from pyxai.report.audit.gather import Found, words
from pyxai.report.audit.names import Data
from pyxai.report.audit.sample import Sample
from pyxai.report.cells import Shade, Signed
from pyxai.report.document import Report, Section
from pyxai.report.gallery import as_plane, gallery, limit_of, map_card
from pyxai.report.numbers import format_number

__all__ = ["agreement", "features", "means"]

_FEATURES = 10  # of a table


def agreement(report: Report, found: Found, sample: Sample) -> None:
    """Show how much the methods agree about the same examples."""
    if len(found.answered) < 2:
        return
    section = report.section(
        "Do the methods agree?", "The same example, two methods: do they rank its features alike?"
    )
    rows = []
    for number, method in enumerate(found.answered):
        values = sample.correlations[number].tolist()
        cells = [
            None if math.isnan(value) else Shade(f"{100 * value:.0f}", value) for value in values
        ]
        rows.append((f"{number + 1}  {words(method)}", *cells))
    section.table(
        ("Method", *(str(number + 1) for number in range(len(rows)))),
        rows,
        caption="Mean rank correlation of the attributions of an example, in hundredths, over "
        f"{sample.n_compared:,} examples spread evenly. 100 is the same order, 0 nothing in "
        "common, -100 the reverse. Methods without a sign rank by size. Empty where maps have "
        "another size, are of another layer or neuron, or are constant.",
    )


def means(report: Report, found: Found, sample: Sample) -> None:
    """Show the mean map of each class."""
    if not any(sample.means.values()):
        return
    section = report.section(
        "What they show on average",
        "The mean attribution of the examples of each explained output.",
    )
    whole = sample.whole and found.n_done == found.audit.n_shards
    section.text(
        f"Over {sample.n_examples:,} examples"
        + (", which are all." if whole else f" of {len(found.audit):,}, in whole shards.")
        + " Red speaks for the output, blue against it; what has no sign, such as saliency, is "
        "red alone. One scale for each method."
    )
    if found.n_classes > len(found.classes):
        section.text(
            f"The {len(found.classes)} outputs of most examples are shown, of {found.n_classes:,}."
        )
    for place, (method, by_class) in enumerate(sample.means.items()):
        if not by_class:
            continue
        part = section.heading(words(method)) if place == 0 else section.fold(words(method))
        _means_of(part, found, method, by_class)


def _means_of(
    section: Section, found: Found, method: str, by_class: dict[int | None, ClassMaps]
) -> None:
    shapes = found.audit.shards.map_shapes(method)
    shape = shapes[0] if len(shapes) == 1 else None
    planes = {
        each: None if shape is None else as_plane(found_maps.mean.reshape(shape))
        for each, found_maps in by_class.items()
    }
    whole = [plane for plane in planes.values() if plane is not None]
    if len(whole) < len(planes):
        titles = [found.data.class_(each) or "the output" for each in by_class]
        values = [found_maps.mean for found_maps in by_class.values()]
        of_layer = found.audit.about(method) == "layer"
        data = found.data.of_units if of_layer else found.data
        features(section, data, titles, values, shared=True)
        return
    limit = max(map(limit_of, whole))
    cards = [
        map_card(
            plane,
            found.data.class_(each) or "the output",
            (f"{by_class[each].count:,} examples",),
            limit,
        )
        for each, plane in planes.items()
        if plane is not None
    ]
    section.html(gallery(cards, small=True))
    ends = f"The strongest colours are {format_number(limit)} and more"
    section.text(f"{ends}, in the units of the attributions.")


def features(
    section: Section,
    data: Data,
    titles: list[str],
    values: list[Tensor],
    inputs: Tensor | None = None,
    *,
    shared: bool = False,
) -> None:
    """Append the leading features as a table with a column for each of several attributions.

    Parameters
    ----------
    section : Section
        Where to.
    data : Data
        Knows the names.
    titles : list of str
        Of the columns.
    values : list of Tensor
        Attributions, flattened alike; NaN where there is no answer.
    inputs : Tensor, optional
        Values of the features, flattened.
    shared : bool
        Whether the bars of all columns have one scale.
    """
    flat = torch.stack([each.double().flatten().nan_to_num(0.0) for each in values])
    ends = flat.abs().amax(1, keepdim=True)
    ends = ends.amax().expand_as(ends) if shared else ends
    shares = (flat / ends).nan_to_num(0.0)
    leading = shares.abs().mean(0).sort(descending=True, stable=True).indices[:_FEATURES].tolist()
    header = ["Feature", *(() if inputs is None else ("value",)), *titles]
    rows = []
    for feature in leading:
        bars = [
            Signed(format_number(float(each[feature])), float(share[feature]))
            for each, share in zip(flat, shares, strict=True)
        ]
        value = () if inputs is None else (float(inputs.flatten()[feature]),)
        rows.append((data.feature(feature), *value, *bars))
    n_more = flat.shape[1] - len(leading)
    scale = "one scale for all columns" if shared else "each column has its own scale"
    header[0] = data.noun.capitalize()
    section.table(
        header,
        rows,
        caption=f"In the units of the attributions; bars: {scale}."
        + (f" The {len(leading)} leading {data.noun}s, of {flat.shape[1]:,}." if n_more else ""),
    )
