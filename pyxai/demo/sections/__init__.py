"""The demonstration's sections that are no tables of methods: columns, pixels, a graph.

May import what the demonstration may. Start with `pixels`.
"""
