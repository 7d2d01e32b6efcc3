"""Language models: what each token of a continuation owes to the units of the prompt.

`language_model` is the public call, `prompts` and `continuations` are what was read and written,
`scores` the function of present units that methods ask, `causal_model` the only place that knows
how the user's model takes its arguments. May import the units of texts beside it, and the rooms of
methods below. Start with `language_model`.
"""
