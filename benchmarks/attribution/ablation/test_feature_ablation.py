"""Feature ablation against the bare model on the same rows, and against captum 0.9.0.

The bare model runs forward on ``batch * (features + 1)`` rows at its best batch size. The claim is
at most 1.15 times its time: processor time of one thread, and wall time of two.
"""

import captum.attr
import pytest
import torch
from _floor import bare_outputs, best_of, mlp
from _timing import compare

from pyxai.attribution import FeatureAblation

BATCH, FEATURES = 16, 784


@pytest.mark.parametrize("threads", [1, 2])
def test_feature_ablation(benchmark, threads):
    torch.set_num_threads(threads)
    model = mlp(FEATURES, 256, 10)
    x = torch.randn(BATCH, FEATURES)
    rows = torch.randn(BATCH * (FEATURES + 1), FEATURES)
    ours, theirs = FeatureAblation(model), captum.attr.FeatureAblation(model)

    def captum_call(per_eval):
        return lambda: theirs.attribute(x, target=0, perturbations_per_eval=per_eval)

    torch.testing.assert_close(
        ours.attribute(x, target=0), captum_call(112)(), rtol=1e-5, atol=1e-6
    )
    compare(
        benchmark,
        lambda: ours.attribute(x, target=0),
        {
            "bare model": best_of(lambda size: bare_outputs(model, rows, size)),
            "captum, defaults": captum_call(1),
            "captum, best batch": best_of(lambda size: captum_call(max(1, size // BATCH))),
        },
        rounds=7,
    )
