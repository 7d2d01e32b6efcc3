"""Taylor interactions: effects of sets of features, and methods as weights on them.

Effects by masking (`harsanyi_dividends`) are right for every model; Taylor terms by derivatives
(`taylor_effects`, `taylor_jet`) for analytic ones; pairs alone for hundreds of players
(`pairwise_terms`, `integrated_hessians`). `allocation_weights` and `attribution_from_effects` say
what each of the fourteen attribution methods makes of them, `principles` measures how fairly any
method shares them out. `interaction_indices` of game theory are something else: see there.

May import the names of methods (`pyxai.methods`), games and what is below them. Start with
`effects.harsanyi`.
"""

from __future__ import annotations

from pyxai.taylor.allocation.method_names import METHOD_NAMES
from pyxai.taylor.allocation.principles import AllocationTest, SurrogateTest, principles
from pyxai.taylor.allocation.principles_neuron import NeuronTest
from pyxai.taylor.allocation.principles_table import PrinciplesTable, principles_table
from pyxai.taylor.allocation.weighted_sums import attribution_from_effects
from pyxai.taylor.allocation.weights import allocation_weights
from pyxai.taylor.effects.harsanyi import HarsanyiDividends, harsanyi_dividends
from pyxai.taylor.effects.interaction_indices import InteractionIndices, interaction_indices
from pyxai.taylor.effects.orders import OrderEffects, TaylorJet, taylor_jet
from pyxai.taylor.effects.polynomial import Polynomial
from pyxai.taylor.effects.taylor_effects import taylor_effects
from pyxai.taylor.effects.terms import TaylorTerms
from pyxai.taylor.pairs.integrated_hessians import IntegratedHessians, integrated_hessians
from pyxai.taylor.pairs.pairwise_terms import PairEffects, pairwise_terms

__all__ = [
    "METHOD_NAMES",
    "AllocationTest",
    "HarsanyiDividends",
    "IntegratedHessians",
    "InteractionIndices",
    "NeuronTest",
    "OrderEffects",
    "PairEffects",
    "Polynomial",
    "PrinciplesTable",
    "SurrogateTest",
    "TaylorJet",
    "TaylorTerms",
    "allocation_weights",
    "attribution_from_effects",
    "harsanyi_dividends",
    "integrated_hessians",
    "interaction_indices",
    "pairwise_terms",
    "principles",
    "principles_table",
    "taylor_effects",
    "taylor_jet",
]
