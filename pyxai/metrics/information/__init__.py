"""Information curves of images: the output against the information that is shown.

May import `pyxai.metrics`' shared checks, the runner and what is below. Start with
`information_curve`.
"""
