"""Every argument of options, transforms, laws and results refuses, by its name, another kind."""

import bad_values
import pytest
from option_calls import OPTION_CALLS

NOT_FINITE = {  # arithmetic on what is not finite is arithmetic
    (name, argument, "NaN")
    for name in ("dwt", "idwt", "idwt_transpose", "relaxed_top_k", "filter_bank", "patches")
    for argument in OPTION_CALLS[name].arguments
}
INDICES = {  # of examples, read as Python reads them
    (name, "example", kind)
    for name in ("HarsanyiDividends.top", "HarsanyiDividends.to_dict", "PairEffects.top")
    for kind in ("a word", "a fraction", "a negative number")
}
TORCH = {  # refused by torch or by the model
    (name, argument, kind)
    for name, arguments in {
        "wavelet_functions": ["scaling"],
        "wavelet_distance": ["scaling", "other"],
        "filter_bank": ["scaling"],
        "LEX.attribute": ["inputs"],
        "LEX.select": ["inputs"],
        "LEX.predict": ["inputs"],
    }.items()
    for argument in arguments
    for kind in ("a word", "complex numbers", "NaN")
}
TAKEN = NOT_FINITE | INDICES | TORCH
TAKEN |= {
    ("Groups", "ids", "complex numbers"),
    ("patches", "images", "complex numbers"),
    ("ACD", "subtract", "a number"),
    ("Runner.estimate", "gradients", "a word"),
    ("Runner.estimate", "gradients", "a number"),
    ("rationale", "continuity", "a word"),  # named as the weight that it is
    ("rationale", "continuity", "NaN"),
}


def broken():
    for name, call in OPTION_CALLS.items():
        for argument, value in {**call.arguments, **call.defaults()}.items():
            for kind, bad in bad_values.of(value):
                if (name, argument, kind) not in TAKEN:
                    yield pytest.param(name, argument, bad, id=f"{name}-{argument}-{kind}")


@pytest.mark.parametrize("name", OPTION_CALLS)
def test_the_good_call_works(name):
    OPTION_CALLS[name]()


@pytest.mark.parametrize("name", OPTION_CALLS)
def test_defaults_can_be_given(name):
    OPTION_CALLS[name](**OPTION_CALLS[name].defaults())


@pytest.mark.parametrize(("name", "argument", "bad"), list(broken()))
def test_arguments_of_another_kind_are_named(name, argument, bad):
    with pytest.raises((TypeError, ValueError), match=f"^{argument} must .*got|^{argument}: "):
        OPTION_CALLS[name](**{argument: bad})
