"""The variational auto-encoder with arbitrary conditioning: networks, training, imputer.

May import `pyxai.imputers.fitted` and what is below it. Start with `imputer`.
"""
