"""Wavelets that are learnt from signals and from what a model makes of them.

Start with `AdaptiveWavelet`; `losses` are its terms, for whoever trains by other means.
"""
