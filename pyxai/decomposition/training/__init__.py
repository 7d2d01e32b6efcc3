"""Losses that make a model explain itself as it should: terms for any training loop.

The model is explained in evaluation mode, whatever mode the loop has it in, and left as found;
gradients flow to its parameters. May import the rest of `pyxai.decomposition` and what that may.
Start with `cdep_loss`.
"""
