"""How methods share effects out: weights, weighted sums, and the three principles of a fair share.

May import `pyxai.taylor.effects`, the names of registered methods and what is below. Start with
`weights`.
"""
