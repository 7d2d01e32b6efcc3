"""From a model as people have it to one call: text models, and what else is no tensor to tensor.

May import the methods and metrics and what is below them; transformers and the other packages are
imported when used. A class is imported when it is first used; ``__init__.pyi`` says where it is.
Start with `units`, which says what of a text can be present or absent.
"""

from __future__ import annotations

from pyxai._lazy import exports_of_stub

__getattr__, __dir__, __all__ = exports_of_stub(__name__, __file__)
