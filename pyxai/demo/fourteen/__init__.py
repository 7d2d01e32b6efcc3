"""The demonstration's section on fourteen methods: what each gives to whom of which effect.

Start with `comparison`.
"""
