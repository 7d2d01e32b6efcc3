"""Methods that replace one part of the input at a time and look at what the output loses.

May import `pyxai.methods`, games, imputers and what is below. Start with `feature_ablation`.
"""
