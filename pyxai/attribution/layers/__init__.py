"""Methods that look at the values of one layer.

May import the other families of `pyxai.attribution` and what is below. Start with `grad_cam`.
"""
