"""Agglomeration of groups into a hierarchy, by the scores of any decomposition.

May import the scorers of `pyxai.decomposition` and what is below. Start with
`agglomerative_decomposition`; `units` says what is joined, `official` and `priority_queue` how.
"""
