"""The result of a language model's explanation: rows, the whole, pictures, tables and files."""

import matplotlib as mpl
import pytest
import torch
from language_models import byte_level_tokenizer, language_model

from pyxai import Explanation, plot
from pyxai.adapters import LanguageExplanation, LanguageModel
from pyxai.explanation import file

mpl.use("Agg")

pytestmark = pytest.mark.filterwarnings("ignore")  # those of transformers are its own affair


@pytest.fixture(scope="module")
def explain():
    return LanguageModel(language_model("llama"), byte_level_tokenizer(True)).explain


@pytest.fixture(scope="module")
def found(explain):
    return explain("the cat sat on", " the mat.", method="shapley_value_sampling", n_samples=4)


def test_rows_are_tokens_and_the_whole_is_their_sum(found):
    assert found.tokens == ("the", "mat", ".")
    assert found.units == ["the", "cat", "sat", "on"]
    assert found.attributions.shape == found.error.shape == (3, 4)
    assert found.outputs.shape == found.convergence_delta.shape == (3,)
    whole = found.total
    assert isinstance(whole, Explanation)
    torch.testing.assert_close(whole.attributions[0], found.attributions.sum(0))
    torch.testing.assert_close(whole.outputs[0], found.outputs.sum())
    assert whole.error.shape == (1, 4)
    assert whole.top(1)[0][0] in found.units
    second = found[1]
    assert type(second) is Explanation
    assert torch.equal(second.attributions, found.attributions[1:2])
    assert len(list(found)) == 3


def test_it_reads_as_text(found, explain):
    assert repr(found) == "<LanguageExplanation by shapley_value_sampling: 3 tokens by 4 units>"
    text = str(found)
    for part in ("'the cat sat on'", "' the mat.'", "log_probability", "1 special and fixed token"):
        assert part in text
    best, value = found.total.top(1)[0]
    assert f"{best} " in text
    assert f"{value:+.4g}" in text
    saliency = explain("the cat sat on", " the mat.", method="saliency")
    assert f"which got {float(saliency.whole['fixed'][0]):.3g}" in str(saliency)
    assert "+" not in str(saliency).split("top units")[1]  # sizes have no sign
    html = found._repr_html_()
    assert "cat" in html


def test_a_table_has_tokens_as_rows(found):
    table = found.to_pandas()
    assert list(table.index) == ["the", "mat", "."]
    assert table.index.name == "token"
    assert list(table.columns) == found.units
    assert table.to_numpy().tolist() == found.attributions.tolist()
    assert found.to_pandas("error").shape == (3, 4)


def test_it_draws_the_matrix(found):
    ax = found.plot()
    assert [label.get_text() for label in ax.get_yticklabels()] == list(found.tokens)
    assert [label.get_text() for label in ax.get_xticklabels()] == found.units
    torch.testing.assert_close(
        torch.tensor(ax.images[0].get_array().tolist()), found.attributions.float()
    )
    assert found.total.plot("text") is not None
    assert plot.token_matrix(found, output_tokens=found.tokens).get_title() == ax.get_title()
    labels = [label.get_text() for label in found[0].plot("bar").get_yticklabels()]
    assert sorted(labels) == sorted(found.units)  # words, without the ones that stand for them


def test_a_file_keeps_all_of_it(found, tmp_path):
    again = LanguageExplanation.load(found.save(tmp_path / "found.safetensors"))
    assert str(again) == str(found)
    assert again.tokens == found.tokens
    assert torch.equal(again.attributions, found.attributions)
    assert torch.equal(again.total.error, found.total.error)
    assert torch.equal(again.fixed, found.fixed)
    with pytest.raises(ValueError, match="fields"):
        Explanation.load(tmp_path / "found.safetensors")


def test_files_from_before_earlier_tokens_were_told_apart(found, tmp_path):
    names = found.__dataclass_fields__.keys() - {"earlier", "display_values", "path", "of_layer"}
    path = file.save({name: getattr(found, name) for name in names}, tmp_path / "before")
    again = LanguageExplanation.load(path)
    assert again.earlier is None
    assert torch.equal(again.attributions, found.attributions)
    short = file.save(
        {name: getattr(found, name) for name in names - {"fixed"}}, tmp_path / "short"
    )
    with pytest.raises(ValueError, match="fixed"):
        LanguageExplanation.load(short)


def test_it_moves_to_a_device(found):
    moved = found.to("cpu")
    assert isinstance(moved, LanguageExplanation)
    assert str(moved) == str(found)
    assert moved.whole.keys() == found.whole.keys()


def test_parts_must_fit(found):
    values = torch.zeros(2, 3)
    with pytest.raises(ValueError, match="tokens must have one text for each of 2 rows, got 1"):
        LanguageExplanation(values, values, tokens=("a",), whole={"attributions": values[:1]})
    with pytest.raises(ValueError, match="whole must have attributions"):
        LanguageExplanation(values, values, tokens=("a", "b"))
