"""Methods that ask for the values of many coalitions of features: Shapley values and surrogates.

May import `pyxai.methods`, games, imputers and what is below. Start with `shapley_values`; what all
share is in `coalition_method`.
"""
