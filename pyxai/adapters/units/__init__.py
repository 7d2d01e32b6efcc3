"""What of a text can be present or absent: its tokens, words, sentences, or spans of one's own.

Plain Python, below all adapters of text. May import `pyxai._checks`. Start with `units`.
"""
