"""Short labelled sentences about films, food, books and journeys, for the demonstration.

Half of them praise, half complain. Some say so plainly, some with a negation (``"not a dull
moment"``), some in two clauses that disagree, of which the one that the sentence ends on, or that
is not conceded, has the say.
"""

from __future__ import annotations

import re
from typing import NamedTuple

__all__ = ["WORDS", "Sentence", "labelled_sentences", "words_of"]

WORDS = re.compile(r"[a-z']+|,")  # in lower case, and commas


class Sentence(NamedTuple):
    """A sentence and what it says."""

    text: str
    label: int
    """1 where it praises, 0 where it complains."""
    kind: str
    """``"plain"``, ``"negation"`` or ``"contrast"``."""


_PRAISE = {
    "plain": """
        I would gladly read it again
        the cook knows exactly what he is doing
        we laughed until our sides hurt
        every scene made me happier
        the best evening of the whole year
        she sings like nobody else
        it kept me awake all night in the best way
        this little place deserves all its praise
        the guide answered every question with patience
        a warm story with a clever ending
        my children loved each page
        the soup alone was worth the journey
        they fixed the problem within an hour
        I recommend it to everybody I know
        the actors are a joy to watch
        what a lovely surprise
        the room was clean, bright and quiet
        he tells the old tale with new charm
        our train arrived early and the staff were kind
        it is funny, moving and beautifully filmed
        """,
    "negation": """
        there is not a dull moment in it
        I could not put the book down
        nobody left before the end
        we never waited more than a minute
        nothing about the hotel disappointed us
        it is not bad at all
        you will not regret a single penny
        I have never slept so well away from home
        no complaints from anyone at our table
        the sequel is no weaker than the original
        it does not waste a single word
        the waiter did not forget anything
        hardly a mistake in three hours of music
        she never fails to delight us
        without any doubt worth seeing
        I did not find one boring page
        """,
    "contrast": """
        the plot is thin, but the acting saves it
        I expected nothing and got a treasure
        although it rained all week, we loved every day
        the seats were hard, yet the concert was wonderful
        it starts slowly but ends brilliantly
        despite the noise we slept perfectly
        the menu is short, but every dish is excellent
        the cover is ugly but the story is beautiful
        even though the lift was broken, the stay was delightful
        I hate long films, yet I loved this one
        it looks cheap but works perfectly
        the first chapter bored me, the rest was superb
        """,
}
_COMPLAINT = {
    "plain": """
        I want those two hours back
        the cook has no respect for vegetables
        we yawned from the first minute to the last
        every scene made me angrier
        the worst evening of the whole year
        he sings like a rusty door
        I fell asleep long before the end
        this place has lost all its charm
        the guide was late, rude and lazy
        a cold story with a foolish ending
        my children hated each page
        the soup tasted of dust and salt
        they ignored the problem for a week
        I warned everybody I know about it
        the actors are painful to watch
        what a dreadful waste of money
        the room was dirty, dark and noisy
        he ruins the old tale with cheap jokes
        our train broke down and the staff were rude
        it is clumsy, dull and badly filmed
        """,
    "negation": """
        there is not one good idea in it
        I could not finish the book
        nobody stayed until the end
        we never got what we had ordered
        nothing about the hotel pleased us
        it is not good at all
        you will not find a single joke that works
        I have never slept so badly away from home
        no smiles from anyone at our table
        the sequel is no match for the original
        it does not have a single clever line
        the waiter did not remember anything
        hardly a right note in three hours of music
        she never manages to move us
        without any charm or purpose
        I did not find one interesting page
        """,
    "contrast": """
        the acting is fine, but the plot ruins it
        I expected a treasure and got nothing
        although the sun shone all week, we hated every day
        the seats were soft, yet the concert was terrible
        it starts brilliantly but ends badly
        despite the silence we slept terribly
        the menu is long, but every dish is awful
        the cover is beautiful but the story is ugly
        even though the view was lovely, the stay was miserable
        I love long films, yet I hated this one
        it looks perfect but breaks at once
        the first chapter was superb, the rest bored me
        """,
}
_THINGS = (
    "film", "meal", "book", "hotel", "concert", "story", "novel", "opera", "play", "market",
    "ending", "dinner", "show", "tour", "museum", "song", "garden", "wine",
)  # fmt: skip
_GOOD = (
    "good", "wonderful", "charming", "excellent", "lovely", "brilliant", "delightful", "great",
    "superb", "funny", "clever", "beautiful", "perfect", "moving",
)  # fmt: skip
_BAD = (
    "bad", "terrible", "boring", "awful", "dull", "dreadful", "disappointing", "poor",
    "horrible", "clumsy", "stupid", "ugly", "miserable", "tedious",
)  # fmt: skip
# What {same} and {other} stand for is of the label and against it.
_FORMS = {
    "plain": (
        "the {thing} was {same}",
        "a really {same} {thing}",
        "I found the {thing} {same} and {same2}",
        "such a {same} {thing}, from start to finish",
        "the {thing} is {same} in every way",
        "the {thing} and the {thing2} were both {same}",
    ),
    "negation": (
        "the {thing} was not {other}",
        "this {thing} is never {other}",
        "there was nothing {other} about the {thing}",
        "the {thing} is not {other}, it is {same}",
        "I do not think the {thing} is {other}",
        "nobody could call the {thing} {other}",
    ),
    "contrast": (
        "the {thing2} was {other}, but the {thing} was {same}",
        "although the {thing2} was {other}, the {thing} was {same}",
        "the {thing} looked {other} at first, yet it was {same}",
        "the {thing} is {same} even though the {thing2} is {other}",
        "despite a {other} {thing2} the {thing} was {same}",
        "it sounded {other}, but in the end the {thing} was {same}",
    ),
}
_EACH = 10  # sentences of a form, for each label


def labelled_sentences() -> list[Sentence]:
    """Return all sentences, always in the same order, praise and complaint in turn.

    Returns
    -------
    list of Sentence
        Lower case but for names and "I", no full stop; half of them of either label.
    """
    pairs: list[tuple[Sentence, Sentence]] = []
    for kind in _PRAISE:
        praise, complaint = (
            [line.strip() for line in text[kind].strip().splitlines()]
            for text in (_PRAISE, _COMPLAINT)
        )
        pairs += [
            (Sentence(good, 1, kind), Sentence(bad, 0, kind))
            for good, bad in zip(praise, complaint, strict=True)
        ]
    for kind, forms in _FORMS.items():
        for number, form in enumerate(forms):
            pairs += [
                (_made(form, kind, number, place, 1), _made(form, kind, number, place, 0))
                for place in range(_EACH)
            ]
    return [sentence for pair in pairs for sentence in pair]


def _made(form: str, kind: str, number: int, place: int, label: int) -> Sentence:
    """Fill a form with words that step through the lists at different speeds."""
    same, other = (_GOOD, _BAD) if label else (_BAD, _GOOD)
    count = 7 * number + place
    start = {"plain": 0, "negation": 4, "contrast": 9}[kind]
    text = form.format(
        thing=_THINGS[(5 * count + start) % len(_THINGS)],
        thing2=_THINGS[(5 * count + start + 7) % len(_THINGS)],
        same=same[(3 * count + start) % len(same)],
        same2=same[(3 * count + start + 5) % len(same)],
        other=other[(5 * count + start + 3) % len(other)],
    )
    return Sentence(re.sub(r"\ba (?=[aeiou])", "an ", text), label, kind)


def words_of(text: str) -> list[str]:
    """Return the words of a sentence in lower case, with commas as words of their own.

    Parameters
    ----------
    text : str

    Returns
    -------
    list of str
        For example ``["not", "bad", ",", "really"]``.
    """
    return WORDS.findall(text.lower())
