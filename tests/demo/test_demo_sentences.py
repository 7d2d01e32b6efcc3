"""The demonstration's sentences: as many of either label, all different, and plain words."""

import re

from pyxai.demo import sentences
from pyxai.demo.sentences import labelled_sentences, words_of


def test_half_praise_and_half_complain_and_none_comes_twice():
    found = labelled_sentences()
    assert len(found) >= 400
    assert len({sentence.text for sentence in found}) == len(found)
    for kind in ("plain", "negation", "contrast"):
        labels = [sentence.label for sentence in found if sentence.kind == kind]
        assert len(labels) >= 120
        assert sum(labels) * 2 == len(labels)
    for sentence in found:
        assert re.fullmatch(r"[A-Za-z' ,]+", sentence.text), sentence
        assert 3 <= len(words_of(sentence.text)) <= 20
        assert not re.search(r"\ba [aeiou]|\ban [^aeiouh]", sentence.text), sentence


def test_no_single_word_tells_the_label():
    # What a bag of words cannot do: words of praise stand in both halves.
    found = labelled_sentences()
    for word in ("wonderful", "terrible", "boring", "lovely"):
        labels = {sentence.label for sentence in found if word in words_of(sentence.text)}
        assert labels == {0, 1}, word


def test_negations_turn_the_words_they_hold():
    found = {sentence.text: sentence.label for sentence in labelled_sentences()}
    assert found["it is not bad at all"] == 1
    assert found["it is not good at all"] == 0
    turned = [(t, label) for t, label in found.items() if re.match(r"the \w+ was not \w+$", t)]
    assert len(turned) == 20
    for text, label in turned:
        assert text.split()[-1] in (sentences._BAD if label else sentences._GOOD)


def test_words_of_a_sentence():
    assert words_of("It is not bad, I'd say") == ["it", "is", "not", "bad", ",", "i'd", "say"]
