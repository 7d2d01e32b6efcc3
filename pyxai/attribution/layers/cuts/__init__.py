"""A model cut at a layer: what is before it, what is after it, and what the layer gives.

May import `pyxai.methods` and what is below. Start with `layer_runs`.
"""
