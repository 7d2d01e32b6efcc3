"""Imputers that are mixtures: a component is drawn given the present features, then values of it.

May import `pyxai.imputers.base` and what is beside it. Start with `mixture`; `scores` is what all
kinds with a diagonal share.
"""
