"""Methods that add up gradients along a path from a baseline to the input.

May import `pyxai.methods`, `pyxai.greedy`, `pyxai.propagation` and what is below. Start with
`integrated_gradients`; the paths themselves are made by `pyxai.game.path`, `guided_path` and
`gaussian_blur`.
"""
