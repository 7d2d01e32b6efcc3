"""Methods that send the output back through the traced model by rules: LRP, deep Taylor, DeepLIFT.

May import `pyxai.methods`, `pyxai.propagation` (the rules) and what is below. Start with `lrp`.
"""
