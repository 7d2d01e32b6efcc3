"""Rules for the ops of a traced model, and walks through it, that several methods share.

`relevance` sends an output back by relevance rules (LRP, deep Taylor), `multipliers` by ratios of
differences (DeepLIFT, Deep SHAP); `decomposed` splits values on their way forward (contextual
decomposition); `windows` follows patches through a conv net (occlusion). `row_passes` works on a
traced model in parts that fit the memory. May import the traced model, games and what is below, no
method. Start with `relevance.rules`.
"""

from __future__ import annotations

__all__: list[str] = []
