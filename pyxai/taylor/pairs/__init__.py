"""Effects of single players and of pairs, for hundreds of players.

May import `pyxai.taylor.effects` and what is below. Start with `pairwise_terms`.
"""
