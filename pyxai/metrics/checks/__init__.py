"""Reality checks: is an explanation right, robust and of use, as numbers with error bars.

May import the other metrics, every method and what is below. Start with `reality_checks`.
"""
