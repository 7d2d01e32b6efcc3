"""Owen values of players over a hierarchy.

May import what `coalitions` may. Start with `tree`, which holds a hierarchy; `forms` reads what
users give for one, `division` asks the game and shares values among the players.
"""
