"""Units of a text and their tokens: by hand, and from tokenizers of each usual kind."""

import re

import pytest
from text_models import small_tokenizer

from pyxai.adapters import Unit, Units, read_tokens, text_units
from pyxai.adapters.units.pieces import align_pieces
from pyxai.adapters.units.spans import sentence_spans, word_spans

pytestmark = pytest.mark.filterwarnings("ignore")  # those of transformers are its own affair


def words(text):
    return [text[start:end] for start, end in word_spans(text)]


def sentences(text):
    return [text[start:end] for start, end in sentence_spans(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a good film.", ["a", "good", "film", "."]),
        ("Don't, she's well-known!", ["Don't", ",", "she's", "well-known", "!"]),
        ("'quoted' - dash", ["'", "quoted", "'", "-", "dash"]),
        ("what...?!", ["what", "...", "?", "!"]),
        ("it costs 1,000.50, ok", ["it", "costs", "1,000.50", ",", "ok"]),
        ("naïve cafe\u0301 x", ["naïve", "cafe\u0301", "x"]),
        ("हिन्दी भाषा", ["हिन्दी", "भाषा"]),
        ("我很好", ["我", "很", "好"]),
        ("so 👍🏽👍 👨‍👩‍👧!", ["so", "👍🏽", "👍", "👨‍👩‍👧", "!"]),
        ("🇩🇪🇫🇷", ["🇩🇪", "🇫🇷"]),
        ("  a\n\tb  ", ["a", "b"]),
        ("snake_case x2", ["snake_case", "x2"]),
        ("a.b end.", ["a", ".", "b", "end", "."]),
        ("", []),
    ],
)
def test_words(text, expected):
    assert words(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("One. Two! Three? Four", ["One.", "Two!", "Three?", "Four"]),
        ('He said "no." Then left.', ['He said "no."', "Then left."]),
        ("Dr. Who met J. Smith, e.g. here. Yes.", ["Dr. Who met J. Smith, e.g. here.", "Yes."]),
        ("It rose 3.5 per cent. Good", ["It rose 3.5 per cent.", "Good"]),
        ("well... maybe not. Done", ["well... maybe not.", "Done"]),
        ("a title\n\nand a line\nthat goes on.", ["a title", "and a line\nthat goes on."]),
        ("很好。不好\uff01", ["很好。", "不好\uff01"]),
        ("   ", []),
        ("no. 5 is alive. Vs. all", ["no. 5 is alive.", "Vs. all"]),
    ],
)
def test_sentences(text, expected):
    assert sentences(text) == expected


def test_tokens_belong_to_the_word_whose_text_they_cover():
    text = "un believable film"
    spans = [None, (0, 2), (3, 9), (9, 13), (14, 18), None]
    found = text_units(text, spans)
    assert found == Units(
        text,
        "word",
        (
            Unit("un", (0, 2), (1,)),
            Unit("believable", (3, 13), (2, 3)),
            Unit("film", (14, 18), (4,)),
        ),
        6,
    )
    assert found.owners == [-1, 0, 1, 1, 2, -1]
    assert found.others == [0, 5]
    assert found.labels == ["un", "believable", "film"]
    assert [unit.label for unit in found] == found.labels
    assert len(found) == 3
    assert found[1].tokens == (2, 3)


def test_words_that_share_a_token_are_one():
    found = text_units("yes !? a b", [(0, 3), (3, 6), (6, 10)])
    assert [(unit.label, unit.tokens) for unit in found] == [
        ("yes", (0,)),
        ("!?", (1,)),
        ("a b", (2,)),
    ]


def test_a_chain_of_shared_tokens_joins_all_of_it():
    found = text_units("a b c d", [(0, 3), (2, 5), (5, 7)])
    assert [(unit.label, unit.tokens) for unit in found] == [("a b c", (0, 1)), ("d", (2,))]


def test_spaces_go_with_what_follows_and_at_the_end_with_what_was_before():
    found = text_units("a \n b \n", [(0, 1), (1, 3), (3, 5), (5, 7)])
    assert [unit.tokens for unit in found] == [(0,), (1, 2, 3)]
    tokens = text_units("a \n b \n", [(0, 1), (1, 3), (3, 5), (5, 7)], "token")
    assert tokens.labels == ["a", "␣\\n", "b", "␣\\n"]
    assert [unit.span for unit in tokens] == [(0, 1), (1, 3), (4, 5), (5, 7)]


def test_a_token_without_text_is_named_by_its_piece():
    spans, pieces = [(0, 0), (0, 2)], ["▁", "ok"]
    assert text_units("ok", spans, "token", pieces=pieces).labels == ["▁", "ok"]
    assert text_units("ok", spans, "word", pieces=pieces)[0].tokens == (0, 1)


SPANS = [None, (0, 4), (5, 8), (8, 9), (10, 13), (13, 14), None]


def test_sentences_own_expressions_functions_and_spans():
    text = "Good day. Bye!"
    assert [unit.tokens for unit in text_units(text, SPANS, "sentence")] == [(1, 2, 3), (4, 5)]
    own = text_units(text, SPANS, re.compile(r"[A-Z]\w+"))
    assert (own.kind, own.labels, own.others) == ("own", ["Good", "Bye"], [0, 2, 3, 5, 6])
    assert text_units(text, SPANS, [(10, 14), (0, 8)]).labels == ["Good day", "Bye!"]
    assert text_units(text, SPANS, lambda text: [(0, len(text))]).labels == [text]


def test_fixed_parts_are_no_players():
    text = "Q: who? A:"
    spans = [(0, 1), (1, 2), (2, 6), (6, 7), (7, 9), (9, 10)]
    for unit in ("token", "word"):
        found = text_units(text, spans, unit, fixed=[(0, 3), (7, 10)])
        assert found.labels == ["who", "?"]
        assert found.others == [0, 1, 4, 5]
    whole = text_units(text, spans, "sentence", fixed=[(0, 3), (8, 10)])
    assert whole.labels == ["who?"]
    with pytest.raises(
        ValueError, match="unit must have at least one word in the text, outside of fixed"
    ):
        text_units(text, spans, fixed=[(0, 10)])


@pytest.mark.parametrize(
    ("unit", "error", "match"),
    [
        ("letter", ValueError, "unit must be one of 'token', 'word', 'sentence', an expression"),
        (3, TypeError, "unit must be a name, an expression, a function or a list of spans, got"),
        ([(0, 99)], ValueError, "unit must hold spans within the 14 characters of the text"),
        ([(2, 2)], ValueError, "unit must hold spans within the 14 characters"),
        ([(0, 3), (2, 5)], ValueError, r"unit must hold spans that do not overlap, got \(0, 3\)"),
        (["ab"], TypeError, "unit must hold pairs of start and end"),
        ([(True, 3)], TypeError, "unit must hold pairs of start and end"),
        (re.compile("zzz"), ValueError, "unit must have at least one span in the text"),
    ],
)
def test_units_that_do_not_fit(unit, error, match):
    with pytest.raises(error, match=match):
        text_units("Good day. Bye!", SPANS, unit)


def test_texts_and_spans_that_do_not_fit():
    with pytest.raises(ValueError, match="text must have a character that is no space, got ' '"):
        text_units(" ", [])
    with pytest.raises(TypeError, match="text must be a string, got"):
        text_units(None, [])
    with pytest.raises(ValueError, match=r"spans must lie within the 1 characters .* got \(0, 2\)"):
        text_units("a", [(0, 2)])
    with pytest.raises(ValueError, match=r"fixed must hold spans within the 1 characters"):
        text_units("a", [(0, 1)], fixed=[(0, 2)])


@pytest.mark.parametrize(
    ("text", "pieces", "expected"),
    [
        ("Surprisingly Café", ["surprising", "##ly", "cafe"], ["Surprising", "ly", "Café"]),
        ("a good day", ["▁a", "▁", "good", "▁day"], ["a", "", "good", "day"]),
        ("a good", ["a", "Ġgood"], ["a", "good"]),
        ("low lower", ["low</w>", "low@@", "er"], ["low", "low", "er"]),
        ("is 🙂 ok", ["is", "[UNK]", "ok"], ["is", "🙂", "ok"]),
        ("a … 🙂 b", ["a", "[UNK]", "[UNK]", "b"], ["a", "…", "🙂", "b"]),
        ("is 🙂", ["is", "<0xF0>", "<0x9F>"], ["is", "🙂", "🙂"]),
        ("it is", [None, "it", "is", None], [None, "it", "is", None]),
        ("an apple ate", ["[UNK]", "apple", "ate"], ["an", "apple", "ate"]),
    ],
)
def test_pieces_are_found_in_their_text(text, pieces, expected):
    found = align_pieces(text, pieces)
    assert [None if span is None else text[slice(*span)] for span in found] == expected


TEXTS = [
    "the film was surprisingly good",
    "Not good,\nnot  bad… 👍🏽",
    " café!",
    "we\u2019ve 我很 e\u0301",
]


@pytest.mark.parametrize("kind", ["wordpiece", "bytes", "unigram"])
def test_words_of_tokenizers(kind):
    tokenizer = small_tokenizer(kind)
    for text in TEXTS:
        tokens = read_tokens(tokenizer, text)
        assert tokens.spans[0] is None
        assert tokens.spans[-1] is None
        found = tokens.units("word")
        expected = words(text)
        if kind == "unigram" and "我" in expected:  # what it does not know is one token
            expected[1:3] = ["我很"]
        assert found.labels == expected
        assert found.others == [0, len(tokens) - 1]
        assert sorted(token for unit in found for token in unit.tokens) == list(
            range(1, len(tokens) - 1)
        )
        alone = tokens.units("token")
        assert len(alone) == len(tokens) - 2
        assert all(unit.label and unit.label == unit.label.strip() for unit in alone)
        assert len(tokens.units("sentence")) <= 2


@pytest.mark.parametrize("kind", ["wordpiece", "unigram"])
def test_a_tokenizer_without_offsets_is_read_by_its_pieces(kind):
    fast = small_tokenizer(kind)

    def ids_only(text):
        return {"input_ids": fast(text)["input_ids"][1:-1]}

    for text in TEXTS[:3]:
        expected = read_tokens(fast, text, special=False)
        found = read_tokens(ids_only, text, pieces=fast.convert_ids_to_tokens)
        assert found.ids == expected.ids
        assert found.units("word") == expected.units("word")
    with pytest.raises(TypeError, match=r"pieces must be given, .* got None for a function"):
        read_tokens(ids_only, "good")
    with pytest.raises(TypeError, match="tokenizer must return ids of one text, got"):
        read_tokens(str.split, "good day", pieces=list)


def test_texts_that_are_none():
    tokenizer = small_tokenizer("wordpiece")
    with pytest.raises(ValueError, match="text must have a character that is no space"):
        read_tokens(tokenizer, "\n")
    with pytest.raises(TypeError, match="text must be a string"):
        read_tokens(tokenizer, ["a"])
    with pytest.raises(TypeError, match="tokenizer must be callable with a text"):
        read_tokens(None, "a")
    with pytest.raises(ValueError, match="text must give at least one token, got none for"):
        read_tokens(tokenizer, "\u200b")
