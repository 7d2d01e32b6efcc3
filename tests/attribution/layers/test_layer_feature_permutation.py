"""Shuffling of layers: of two rows that change places, and of rows that are alike."""

from layer_cases import make, on_layers

from pyxai.attribution import LayerFeaturePermutation


@on_layers
def test_where_all_rows_are_alike_nothing_falls(kind, name, at_input):
    case = make(kind)
    parts = case.inputs if isinstance(case.inputs, tuple) else (case.inputs,)
    alike = tuple(part[:1].expand_as(part).contiguous() for part in parts)
    more = None if case.arguments is None else case.arguments[:1].expand(4, -1).contiguous()
    found = LayerFeaturePermutation(case.model, name).attribute(
        alike if isinstance(case.inputs, tuple) else alike[0],
        1,
        more,
        attribute_to_layer_input=at_input,
    )
    assert found.abs().max() < 1e-6


def test_two_rows_change_places_or_stay():
    case = make("mlp")
    x = case.inputs[:2]
    ours = LayerFeaturePermutation(case.model, "0")
    found = {float(ours.attribute(x, 1, seed=seed)[0, 0]) for seed in range(16)}
    z = case.model[0](x).detach()
    moved = z.clone()
    moved[:, 0] = z[:, 0].flip(0)
    fall = (case.model[1:](z) - case.model[1:](moved))[0, 1].detach()
    assert all(min(abs(each), abs(each - float(fall))) < 1e-5 for each in found)
    assert any(abs(each - float(fall)) < 1e-5 for each in found)
