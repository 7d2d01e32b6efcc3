"""Methods that take one gradient at the input: plain, times the input, or with changed ReLUs.

May import `pyxai.methods`, `pyxai.propagation` and what is below. Start with `saliency`.
"""
