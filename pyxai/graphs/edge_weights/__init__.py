"""How weights on the edges of a graph reach a model.

May import what `pyxai.graphs` may. Start with `wiring`, which chooses among an argument, an
adjacency and the messages of modules.
"""
