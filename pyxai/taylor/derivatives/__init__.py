"""Derivatives of a game's extension v(w): along directions, of any order.

May import games and what is below. Start with `extension`.
"""
