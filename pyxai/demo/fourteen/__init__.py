"""The demonstration's section on fourteen methods: what each gives to whom of which effect.

May import what the demonstration may. Start with `comparison`.
"""
