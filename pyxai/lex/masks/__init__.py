"""Masks: their laws, and which features share a bit of them.

May import what `pyxai.lex` may, and nothing else of it. Start with `laws`.
"""
