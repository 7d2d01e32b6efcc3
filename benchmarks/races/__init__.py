"""The public benchmark's cases: methods and their peers on the same net, rows and budget.

`case.py` says what a case is and `all_cases.py` lists them; `measure.py` measures one, `record.py`
all of them, each in a process of its own, and `tables.py` and `pictures.py` show what was found.
`python benchmarks/public.py` runs it.
"""
