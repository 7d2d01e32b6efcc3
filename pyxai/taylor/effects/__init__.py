"""Effects of sets of players: Harsanyi dividends, Taylor terms, interaction indices.

May import `pyxai.taylor.derivatives`, `kinks` and what is below. Start with `harsanyi`.
"""
