"""Metrics that show or hide the best features first.

May import games, `pyxai.explanation` and what is below. Start with `insertion_deletion`.
"""
