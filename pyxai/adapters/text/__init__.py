"""Classifiers of texts: from a sentence to attributions of its words.

May import `pyxai.adapters.units` and what the room may. Start with `text_classifier`.
"""
