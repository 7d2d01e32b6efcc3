"""Exact attributions of the nets in closed_forms.py, as tables that a person can check."""

from __future__ import annotations

import math

# Attributions, one column per net. "gradient_x_input" takes the gradient at the input, as all
# libraries do.
_TABLES = """
method                       | T1               | T2           | T5        | T8
gradient_x_input             | 2, -6, -1        | 6, 6         | 0, 1      | -1, 16
gradient_x_input_at_baseline | 2, -6, -1        | 0, 0         | 3, 0      | 0, 0
occlusion_1                  | 2, -6, -1        | 6, 6         | 1, 1      | -1, 2
occlusion_patch              | -4, -4, -1       | 6, 6         | 1, 1      | 2, 2
prediction_difference        | 1, -9/2, -3/2    | 9/2, 5       | 1/2, 0    | -1/2, 2
grad_cam                     | 0, 0, 0          | 5, 15/2      | 3/2, 1/2  | 7/2, 7
integrated_gradients         | 2, -6, -1        | 3, 3         | 0, 1      | -2/15, 32/15
expected_gradients           | 1, -9/2, -3/2    | 5/2, 3       | 0, 0      | -1/15, 31/15
shapley_value                | 2, -6, -1        | 3, 3         | 1/2, 1/2  | -1/2, 5/2
lrp_epsilon                  | 2, -6, -1        | 3, 3         | 0, 1      | -1, 16
lrp_alpha2_beta1_absorb      | -16/3, 24/7, 4/7 | -12/5, 102/5 | 2, 1      | 31/15, 41/6
lrp_alpha2_beta1_ignore      | -8, 24/7, 4/7    | -12/5, 102/5 | 2, 1      | -4/3, 22/3
deep_taylor                  | -4, 0, 0         | 12/5, 18/5   | 1, 0      | 2/3, 4/3
deeplift_rescale             | 2, -6, -1        | 3, 3         | 0, 1      | -2/15, 32/15
deeplift_reveal_cancel       | 2, -6, -1        | 3, 3         | 1/2, 1/2  | -2/15, 32/15
deep_shap_neuron_shapley     | 1, -9/2, -3/2    | 5/2, 3       | 1/4, -1/4 | 0, 2
deep_shap_rescale            | 1, -9/2, -3/2    | 5/2, 3       | 0, 0      | -1/15, 31/15

method                       | T3                | T4               | T9
gradient_x_input             | 12, 24, -12       | 4, -1, 1         | 3/2, 9/2, 2, 0
gradient_x_input_at_baseline | 0, 0, 0           | 0, 0, 0          | 1, 3, 0, 0
occlusion_1                  | 7, 8, -19         | 3, -1, 1         | 3/2, 9/2, 2, 0
occlusion_patch              | 7, 7, 7           | 3, 0, 0          | 3, 9/2, 3, 9/2
prediction_difference        | 15/2, 8, -19      | 5/2, -1/2, 1/2   | 3/4, 15/4, 3/2, -1/2
grad_cam                     | 8, 8, 8           | 4/3, 2/3, 2/3    | 7/2, 9/2
integrated_gradients         | 4, 8, -4          | 3, -3/4, 3/4     | 5/4, 15/4, 1, 0
expected_gradients           | 5, 7, -7/2        | 5/2, -3/8, 3/8   | 5/8, 27/8, 7/8, -3/8
shapley_value                | 6, 10, -8         | 3, -1/2, 1/2     | 5/4, 15/4, 1, 0
lrp_epsilon                  | 4, 8, -4          | 4, -1, 1         | 5/4, 15/4, 1, 0
lrp_alpha2_beta1_absorb      | 16/3, 32/3, -8    | 24/5, -3/2, 6/5  | 57/25, 171/25, 222/25, 0
lrp_alpha2_beta1_ignore      | 16/3, 32/3, -8    | 24/5, -3, 6/5    | 57/25, 171/25, 222/25, 0
deep_taylor                  | 8/3, 16/3, 0      | 12/5, 0, 3/5     | 33/25, 99/25, 18/25, 0
deeplift_rescale             | 4, 8, -4          | 3, -3/4, 3/4     | 5/4, 15/4, 1, 0
deeplift_reveal_cancel       | 6, 12, -10        | 14/5, -1/2, 7/10 | 5/4, 15/4, 1, 0
deep_shap_neuron_shapley     | 15/2, 19/2, -17/2 | 5/2, -1/4, 1/4   | 5/8, 27/8, 7/8, -3/8
deep_shap_rescale            | 5, 7, -7/2        | 5/2, -3/8, 3/8   | 5/8, 27/8, 7/8, -3/8

method                       | T6
gradient_x_input             | slope/2, 0.6*slope, 0.4*slope
gradient_x_input_at_baseline | 1/2, 3/5, 2/5
occlusion_1                  | t5, 2*(t5 - t2), 2*(t5 - t3)
occlusion_patch              | t5, 2*t5, 2*t5
prediction_difference        | t5 - t1/2, 2*t5 - t2 - t3, 2*t5 - t2 - t3
grad_cam                     | slope/6, slope/10, -slope/15
integrated_gradients         | t5, 6*t5/5, 4*t5/5
expected_gradients           | t5 - t1/2, t5, t5
shapley_value                | t5, t5 + t3 - t2, t5 + t2 - t3
lrp_epsilon                  | t5, 6*t5/5, 4*t5/5
lrp_alpha2_beta1_absorb      | 4*t5, 24*t5/5, 16*t5/5
lrp_alpha2_beta1_ignore      | 4*t5, 24*t5/5, 16*t5/5
deep_taylor                  | t5, 6*t5/5, 4*t5/5
deeplift_rescale             | t5, 6*t5/5, 4*t5/5
deeplift_reveal_cancel       | t5, 6*t5/5, 4*t5/5
deep_shap_neuron_shapley     | t5 - t1/2, t5, t5
deep_shap_rescale            | t5 - t1/2, t5, t5

method                       | T7
gradient_x_input             | 6*ln2, 6*ln3
gradient_x_input_at_baseline | ln2, ln3
occlusion_1                  | 3, 4
occlusion_patch              | 5, 5
prediction_difference        | 3/2, 4
grad_cam                     | 6*ln2, 6*ln3
integrated_gradients         | 5*ln2/ln6, 5*ln3/ln6
expected_gradients           | 5/2*ln2/ln6, 5/2*ln3/ln6 + 2
shapley_value                | 2, 3
lrp_epsilon                  | 6*ln2/ln6, 6*ln3/ln6
lrp_alpha2_beta1_absorb      | 12*ln2/ln6, 12*ln3/ln6
lrp_alpha2_beta1_ignore      | 12*ln2/ln6, 12*ln3/ln6
deep_taylor                  | 6*ln2/ln6, 6*ln3/ln6
deeplift_rescale             | 5*ln2/ln6, 5*ln3/ln6
deeplift_reveal_cancel       | 5*ln2/ln6, 5*ln3/ln6
deep_shap_neuron_shapley     | 1, 7/2
deep_shap_rescale            | 5/2*ln2/ln6, 5/2*ln3/ln6 + 2
"""

LN2, LN3, LN6 = math.log(2), math.log(3), math.log(6)
T5, T3, T2, T1 = (math.tanh(value) for value in (0.5, 0.3, 0.2, 0.1))
_SYMBOLS = {"ln2": LN2, "ln3": LN3, "ln6": LN6, "t5": T5, "t3": T3, "t2": T2, "t1": T1}
_SYMBOLS["slope"] = 1 - T5**2  # derivative of tanh at 1/2


def _numbers(text: str) -> tuple[float, ...]:
    return tuple(float(eval(item, {}, _SYMBOLS)) for item in text.split(","))


def _read_tables(text: str) -> dict[str, dict[str, tuple[float, ...]]]:
    found: dict[str, dict[str, tuple[float, ...]]] = {}
    for block in text.strip().split("\n\n"):
        header, *lines = block.splitlines()
        names = [cell.strip() for cell in header.split("|")[1:]]
        for line in lines:
            method, *cells = (cell.strip() for cell in line.split("|"))
            for name, cell in zip(names, cells, strict=True):
                found.setdefault(name, {})[method] = _numbers(cell)
    return found


ATTRIBUTIONS = _read_tables(_TABLES)
METHODS = tuple(ATTRIBUTIONS["T1"])

# T3: the Taylor terms of order 3 and the weights of the three inputs; P = {0, 1}, N = {2}, and
# (1/3, 2/3) is u_i / U+ of the positive group. Integrated gradients = Rescale = LRP-epsilon.
_KAPPA_TABLE = """
3,0,0 | 1   | 1, 0, 0       | 1, 0, 0       | 1, 0, 0       | 2, 0, -1     | 1, 0, 0
0,3,0 | 8   | 0, 1, 0       | 0, 1, 0       | 0, 1, 0       | 0, 2, -1     | 0, 1, 0
0,0,3 | -1  | 0, 0, 1       | 0, 0, 1       | 0, 0, 1       | 2/3, 4/3, -1 | 1/3, 2/3, 0
2,1,0 | 6   | 2/3, 1/3, 0   | 1/2, 1/2, 0   | 2/3, 1/3, 0   | 4/3, 2/3, -1 | 2/3, 1/3, 0
1,2,0 | 12  | 1/3, 2/3, 0   | 1/2, 1/2, 0   | 1/3, 2/3, 0   | 2/3, 4/3, -1 | 1/3, 2/3, 0
2,0,1 | -3  | 2/3, 0, 1/3   | 1/2, 0, 1/2   | 1/2, 0, 1/2   | 2, 0, -1     | 1, 0, 0
1,0,2 | 3   | 1/3, 0, 2/3   | 1/2, 0, 1/2   | 1/2, 0, 1/2   | 2, 0, -1     | 1, 0, 0
0,2,1 | -12 | 0, 2/3, 1/3   | 0, 1/2, 1/2   | 0, 1/2, 1/2   | 0, 2, -1     | 0, 1, 0
0,1,2 | 6   | 0, 1/3, 2/3   | 0, 1/2, 1/2   | 0, 1/2, 1/2   | 0, 2, -1     | 0, 1, 0
1,1,1 | -12 | 1/3, 1/3, 1/3 | 1/3, 1/3, 1/3 | 1/4, 1/4, 1/2 | 1, 1, -1     | 1/2, 1/2, 0
"""
_KAPPA_METHODS = (
    "integrated_gradients",
    "shapley_value",
    "deeplift_reveal_cancel",
    "lrp_alpha2_beta1",
    "deep_taylor",
)


def _read_kappa() -> dict[tuple[int, ...], tuple[float, dict[str, tuple[float, ...]]]]:
    found = {}
    for line in _KAPPA_TABLE.strip().splitlines():
        kappa, value, *weights = line.split("|")
        rows = dict(zip(_KAPPA_METHODS, map(_numbers, weights), strict=True))
        found[tuple(int(k) for k in kappa.split(","))] = (float(value), rows)
    return found


KAPPA_WEIGHTS_T3 = _read_kappa()  # kappa -> (T(kappa), {method: weights})
