"""How a user's model is run: target, batches, memory, dtype, state.

`Runner` is the only place in the package that calls a model. A method says which rows it wants and
gets numbers back; how many rows go through at once is not its concern::

    runner = Runner(model, target=3, additional_forward_args=None, output=None, max_rows=None)

    runner.outputs(inputs)                     # [batch]: the explained output of each example

    def build(examples, repeats):              # two slices
        ...                                    # -> tuple of tensors [rows, *feat]
    runner.values(build, n_examples, n_repeats)            # [n_examples, n_repeats]
        # rows example-major: row = e * len(repeats) + r
    runner.gradients(build, n_examples, n_repeats, consume)  # the same values, and
        # consume(examples, repeats, grads) for each pass, grads a tuple as the rows;
        # rows node-major: row = r * len(examples) + e, so that grads[0].view(n_nodes, batch, *feat)
        # goes straight into `ops.path_accumulate`; example_major=True turns that round
    runner.estimate(build, n_examples, n_repeats)          # Estimate(rows, passes, ...)

A model that returns one scalar for the whole batch gives values of shape ``[1, n_repeats]``. The
arguments of a method are brought to one form by `pyxai._inputs` before.

`one_scope` marks a public function whose runs share what is looked up and held of a model,
`outside_scope` a block of it that writes to one.
`note_path` says that rows took a fast path, `path_noted` listens.
`in_blocks` runs code on the same examples for several targets: equal rows go through once for all.
`execution` switches `torch.compile` and CUDA graphs on for all models that run in a block.

May import `pyxai.ops` and what is below it. Start with `runner`.
"""

from __future__ import annotations

from pyxai.runner.arguments import Shared
from pyxai.runner.arrays import as_tensors, column_names, takes_arrays
from pyxai.runner.black_box import BlackBox
from pyxai.runner.execution import Execution, execution
from pyxai.runner.memory import is_out_of_memory
from pyxai.runner.mixing import in_blocks, in_rounds
from pyxai.runner.plan import Build, Consume
from pyxai.runner.progress import ProgressOption
from pyxai.runner.runner import Estimate, Runner
from pyxai.runner.state import DIRECT, note_path, one_scope, outside_scope, path_noted
from pyxai.runner.target import EveryOutput, Output, Target, Targets

__all__ = [
    "DIRECT",
    "BlackBox",
    "Build",
    "Consume",
    "Estimate",
    "EveryOutput",
    "Execution",
    "Output",
    "ProgressOption",
    "Runner",
    "Shared",
    "Target",
    "Targets",
    "as_tensors",
    "column_names",
    "execution",
    "in_blocks",
    "in_rounds",
    "is_out_of_memory",
    "note_path",
    "one_scope",
    "outside_scope",
    "path_noted",
    "takes_arrays",
]
