"""What a language model's explanation refuses, and what it says then."""

import pytest
import torch
from language_models import byte_level_tokenizer, language_model, word_tokenizer
from transformers import BertConfig, BertForMaskedLM

from pyxai.adapters import LanguageModel
from pyxai.attribution import Saliency

pytestmark = pytest.mark.filterwarnings("ignore")  # those of transformers are its own affair


@pytest.fixture(scope="module")
def explain():
    return LanguageModel(language_model("llama"), byte_level_tokenizer(True)).explain


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("", " on"), "prompt must have a character that is no space, got ''"),
        (("  ", " on"), "prompt must have a character that is no space"),
        (("the cat", ""), "continuation must have at least one token, got an empty text"),
        (("the cat", []), "continuation must have at least one token, got no id"),
        (("the ca", "t sat"), r"border of tokens, got 't sat' .*\['Ġ', 'c', 'a'\].*\['Ġcat'\]"),
        (("the cat ", "sat"), "the space belongs to the token behind it"),
        (("the cat", [400]), "continuation must hold ids .* the id 400 for an embedding of 300"),
        (("the cat", [3] * 70), "at most 65 tokens together, as the model has 64 positions"),
    ],
)
def test_texts_that_do_not_fit(explain, arguments, message):
    with pytest.raises(ValueError, match=message):
        explain(*arguments)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"baseline": "pad"}, "'mask', 'remove', or the id of a token, got 'pad'; .* no pad_token"),
        ({"baseline": "zero"}, "got 'zero'; .* zero is no id"),
        ({"baseline": "removed"}, "got 'removed'; 'remove' leaves tokens out"),
        ({"method": "layer_activation"}, "got 'layer_activation', which attributes to a layer"),
        ({"unit": "words"}, "got 'words'; did you mean 'word'?"),
        ({"baseline": "nothing"}, "baseline must be one of 'mask', 'remove'"),
        ({"baseline": 300}, "baseline must be the id of a token below 300"),
        ({"baseline": torch.zeros(32)}, "baseline must be a name or the id"),
        ({"baseline": "remove", "method": "integrated_gradients"}, "from one vector to another"),
        ({"baseline": torch.zeros(5), "method": "integrated_gradients"}, r"\[32\], got \[5\]"),
        ({"baseline": "mask", "method": "saliency"}, "baseline must be None for saliency"),
        ({"output": "logits"}, "output must be one of 'log_probability'"),
        ({"method": "nothing"}, "nothing"),
        ({"unit": "letter"}, "unit must be one of 'token', 'word', 'sentence'"),
        ({"max_new_tokens": 70}, "prompt and max_new_tokens must have at most 65 tokens"),
        ({"n_samples": 5}, "options of feature_ablation must be one of"),
        ({"spans": [(0, 30)]}, "spans must hold text within the 11 characters"),
        ({"spans": [(0, 5), (4, 7)]}, "spans must not overlap"),
        ({"spans": [(4, 6)]}, "got 'cat' as one token, of which 't' is fixed"),
        ({"values": {"who": "cat"}}, "values must be given for the slots none of the prompt"),
    ],
)
def test_options_that_do_not_fit(explain, options, message):
    with pytest.raises(ValueError, match=message):
        explain("the cat sat", None if "max_new_tokens" in options else " on", **options)


@pytest.mark.parametrize(
    ("prompt", "values", "message"),
    [
        ("the {who} sat", {"what": "cat"}, "slots 'who' of the prompt, got 'what'"),
        ("the {who} sat", {"who": " "}, "texts that are not empty, got ' ' for 'who'"),
        ("the {who sat", {"who": "cat"}, "must be a template with names in braces"),
    ],
)
def test_templates_that_do_not_fit(explain, prompt, values, message):
    with pytest.raises(ValueError, match=message):
        explain(prompt, " on", values=values)


def test_braces_are_text_without_values(explain):
    assert explain("the {cat} sat", " on", unit="token").prompt == "the {cat} sat"


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        ((3, " on"), {}, "prompt must be a string, got 3"),
        (("the cat", 3.5), {}, "continuation must be text or ids"),
        (("the cat", [5, True]), {}, "continuation must be text or ids of tokens, got True among"),
        (("the cat", " on"), {"baseline": 0.5}, "baseline must be a name, the id"),
        (("the cat", " on"), {"method": Saliency(torch.nn.Identity())}, "method must be the name"),
        (("the cat", " on"), {"feature_mask": torch.zeros(2)}, "'feature_mask' here.*use unit"),
        (("the cat", " on"), {"baselines": 0}, "use baseline"),
        (("the cat", " on"), {"values": "cat"}, "values must map"),
        (("the cat", " on"), {"spans": (0, 3)}, "spans must be a list of"),
        (("the cat", " on"), {"method": "kernel_shap", "n_steps": 3}, "options of kernel_shap"),
    ],
)
def test_arguments_of_other_types(explain, arguments, options, message):
    with pytest.raises(TypeError, match=message):
        explain(*arguments, **options)


def test_a_prompt_of_which_nothing_is_left():
    tokenizer = byte_level_tokenizer()
    explain = LanguageModel(language_model("llama"), tokenizer).explain
    message = "without all of its units and no special token or fixed part is left, got 'remove'"
    for method in ("shapley_values", "kernel_shap"):
        with pytest.raises(ValueError, match=message):
            explain("the cat", " sat", method=method)
    with pytest.raises(ValueError, match=message):
        explain("the", " cat")
    assert explain("the cat", " sat").attributions.shape == (1, 2)
    assert explain("the", " cat", baseline="mask").attributions.shape == (1, 1)


def test_models_that_are_no_causal_language_models():
    tokenizer = word_tokenizer()
    sizes = {"num_hidden_layers": 1, "hidden_size": 32, "num_attention_heads": 4}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        bert = BertForMaskedLM(BertConfig(vocab_size=40, intermediate_size=32, **sizes)).eval()
        for weight in bert.parameters():
            if weight.dim() > 1:
                weight.data.normal_(0, 0.5)
    with pytest.raises(ValueError, match="model must be causal"):
        LanguageModel(bert, tokenizer).explain("the cat sat", " on the mat", baseline=1)
    with pytest.raises(ValueError, match=r"logits of shape \[rows, tokens, vocabulary\]"):
        LanguageModel(lambda input_ids: torch.zeros(len(input_ids), 2), tokenizer).explain(
            "the cat sat", " on", baseline=1
        )
    with pytest.raises(TypeError, match="model must take input_ids by that name"):
        LanguageModel(torch.nn.Linear(2, 2), tokenizer)
    with pytest.raises(TypeError, match="tokenizer must be callable"):
        LanguageModel(bert, "words")


def test_models_that_look_at_what_is_left_out():
    tokenizer, table = word_tokenizer(), torch.randn(40, 40, generator=torch.manual_seed(0))

    def deaf(input_ids, attention_mask=None):
        return table[input_ids].cumsum(1)

    def plain(input_ids):
        return table[input_ids].cumsum(1)

    with pytest.raises(ValueError, match="look away from the tokens that"):
        LanguageModel(deaf, tokenizer).explain("the cat sat", " on the mat")
    with pytest.raises(ValueError, match="takes no attention_mask, got 'remove'"):
        LanguageModel(plain, tokenizer).explain("the cat sat", " on the mat")
    with pytest.raises(ValueError, match="which layer its embedding is"):
        LanguageModel(plain, tokenizer).explain("the cat", " sat", method="saliency")
    found = LanguageModel(plain, tokenizer).explain(
        "the cat sat", " on the mat", baseline=2, output="logit"
    )
    ids = torch.tensor(tokenizer("the cat sat on the mat")["input_ids"])
    torch.testing.assert_close(found.attributions, (table[ids[:3]] - table[2])[:, ids[3:6]].T)


def test_a_tokenizer_of_more_tokens_than_the_model():
    explain = LanguageModel(language_model("gpt2", n_ids=8), byte_level_tokenizer()).explain
    with pytest.raises(ValueError, match="tokenizer and model must have one vocabulary"):
        explain("the cat", " sat")
    with pytest.raises(ValueError, match="tokenizer and model must have one vocabulary"):
        explain("the cat")
    tokenizer = word_tokenizer()
    assert tokenizer.pad_token_id == 2
    explain = LanguageModel(language_model("gpt2", n_ids=2), tokenizer).explain
    with pytest.raises(ValueError, match="below 2, which the embedding has, got 'pad', the id 2"):
        explain("zebra", [1], baseline="pad")


def test_an_error_out_of_the_model_keeps_its_kind_and_the_model_stays():
    model = language_model("gpt2")
    calls = []

    def fail(*_):
        calls.append(1)
        if len(calls) > 4:
            raise KeyError("no")

    hook = model.register_forward_hook(fail)
    flags = [parameter.requires_grad for parameter in model.parameters()]
    with pytest.raises(KeyError):
        LanguageModel(model, byte_level_tokenizer(True)).explain("the cat sat on", " the")
    hook.remove()
    assert [parameter.requires_grad for parameter in model.parameters()] == flags
