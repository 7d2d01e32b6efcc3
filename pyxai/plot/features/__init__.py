"""Bars and points, a row for each feature.

May import what `pyxai.plot` may. Start with `bar`.
"""
