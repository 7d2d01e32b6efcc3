"""How weights on the edges of a graph reach a model.

Start with `wiring`, which chooses among an argument, an adjacency and the messages of modules.
"""
