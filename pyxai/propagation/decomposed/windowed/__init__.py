"""Groups of pixels whose parts are computed in the windows that the groups can reach.

Outside its window the relevant part of a group is that of an empty group, by the rules of all ops
that `plans` lists: they split each place by itself. So it is computed there only (`passes`), with
totals and the empty group's parts of the whole maps around it. May import the windows of
`pyxai.propagation` and the rules of this room. Start with `passes`.
"""

from __future__ import annotations

from pyxai.propagation.decomposed.windowed.passes import WindowedParts
from pyxai.propagation.decomposed.windowed.plans import Part, Plans, plans_of

__all__ = ["Part", "Plans", "WindowedParts", "plans_of"]
