"""The page of an audit: what was run, how good the methods are, what they show.

May import `pyxai.audit` and the parts of pages. Start with `page`.
"""
