"""Pictures of attributions of words and tokens.

May import what `pyxai.plot` may. Start with `text`.
"""
