"""Classifiers of images: from a photograph to a map of what mattered.

May import `pyxai.adapters.labels` and what the room may. Start with `image_classifier`;
`pixels` says what of an image the model sees.
"""
