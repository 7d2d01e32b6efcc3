"""Methods that average gradients, or any method's results, over drawn baselines or drawn noise.

May import `pyxai.methods`, `pyxai.attribution.paths` and `coalitions` and what is below. Start with
`gradient_shap`.
"""
