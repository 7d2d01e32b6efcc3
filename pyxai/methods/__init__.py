"""The contract that every method keeps, and the store in which methods register themselves.

`base` has the classes that a method derives from, `store` the registry: what a method promises.
May import the runner and what is below; every room of methods imports this one. Start with
`base.Attribution`.
"""

from __future__ import annotations

from pyxai.methods.base import Attribution, GradientAttribution, PerturbationAttribution
from pyxai.methods.layer import LayerAttribution
from pyxai.methods.store import AXIOMS, Method, find, get, names, register

__all__ = [
    "AXIOMS",
    "Attribution",
    "GradientAttribution",
    "LayerAttribution",
    "Method",
    "PerturbationAttribution",
    "find",
    "get",
    "names",
    "register",
]
