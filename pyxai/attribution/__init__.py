"""Attribution methods, under the names and with the signatures that captum's users know.

Each family is a folder: `gradients`, `paths`, `sampled`, `ablation`, `coalitions`, `propagated`,
`layers`. May import `pyxai.methods` and what is below it. A class is imported when it is first
used; ``__init__.pyi`` says where it is. Start with `gradients.saliency`.
"""

from __future__ import annotations

from pyxai._lazy import exports_of_stub

__getattr__, __dir__, __all__ = exports_of_stub(__name__, __file__)
