"""Pictures of attributions of grids: images and series.

May import what `pyxai.plot` may. Start with `heatmap`.
"""
