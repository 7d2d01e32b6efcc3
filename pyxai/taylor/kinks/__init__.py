"""Where a model is not smooth, and what then stands in for its derivatives.

May import `pyxai.taylor.derivatives` and what is below. Start with `smoothness`.
"""
