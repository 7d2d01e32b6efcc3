"""What commands read and write: models, rows out of tensors, tables and pictures, explanations.

Start with `inputs`: a new kind of file is a reader, and its suffix in `READERS`.
"""
