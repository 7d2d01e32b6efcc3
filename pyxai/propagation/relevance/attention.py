"""The rules of attention-aware LRP: what they change in the table of LRP."""

from __future__ import annotations

from typing import Any

from pyxai.propagation.relevance.gates import SCALES
from pyxai.propagation.relevance.table import RELEVANCE, product
from pyxai.tracing import BILINEAR, Call, is_affine

__all__ = ["COMPOSITES"]

_ATTN_LRP = RELEVANCE.extended()
COMPOSITES = {"attn_lrp": _ATTN_LRP}


@_ATTN_LRP.register(*BILINEAR)
def uniform(call: Call, relevance: Any) -> dict[str, Any]:
    """Share a product equally between its factors, weights of attention too.

    ``R_A,ji = sum_p A_ji V_ip R_jp / (2 O_jp)`` for ``O = A V``, and likewise for V. Norms, masks
    and activations that the model spells out stay scalings: all to the signal.

    References
    ----------
    .. [1] R. Achtibat et al., "AttnLRP: Attention-Aware Layer-Wise Relevance Propagation for
       Transformers", ICML 2024, propositions 3.2 and 3.3.
    """
    shared: dict[str, Any]
    if is_affine(call.node):
        shared = RELEVANCE.rule_named(call.node.op)(call, relevance)
    else:
        shared = product(call, relevance, SCALES)
    return shared
