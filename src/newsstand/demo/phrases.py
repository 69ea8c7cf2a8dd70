"""The words that the demo's posts are made of."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Person:
    """A person of the demo, who has an account. `rooms` are the places in ROOMS that they keep a bookmark of."""

    account: str
    name: str
    nick: str
    note: str
    rooms: tuple[int, ...]


ROMEO = Person("romeo", "Romeo Montague", "Romeo", "Walks at night, writes by day.", (0, 1, 4, 6, 9, 12, 15))
JULIET = Person(
    "juliet", "Juliet Capulet", "Juliet", "Best reached at the balcony.", (0, 2, 3, 5, 6, 7, 8, 10, 11, 13, 14)
)
NURSE = Person("nurse", "Angelica the Nurse", "Nurse", "Knows everybody's business.", (0, 3, 7, 11, 13))
PEOPLE = (ROMEO, JULIET, NURSE)

ROOMS = (
    ("market-square", "The market square"),
    ("fencing", "Fencing lessons"),
    ("balcony", "The balcony"),
    ("kitchen", "Kitchen talk"),
    ("poets", "Poets of Verona"),
    ("herb-garden", "Herbs and remedies"),
    ("masked-ball", "Masked ball, planning"),
    ("apothecary", "The apothecary's counter"),
    ("lute-players", "Lute players"),
    ("mantua-road", "News from the Mantua road"),
    ("night-sky", "Watching the night sky"),
    ("friar-cell", "Brother Laurence listens"),
    ("football", "Sunday football"),
    ("bread", "Bread and ovens"),
    ("reading-circle", "Reading circle"),
    ("river-swim", "Swimming in the Adige"),
    ("beekeepers", "Beekeepers"),
)

THINGS = {
    "cooking": ("saffron risotto", "rosemary bread", "chestnut soup", "lemon sorbet", "almond cake", "polenta"),
    "garden": ("lavender bed", "fig tree", "basil", "tomato seedlings", "rose hedge", "compost heap"),
    "music": ("lute string", "old madrigal", "street drummer", "choir rehearsal", "borrowed fiddle", "dance tune"),
    "theatre": ("stage curtain", "prompt book", "mask", "comedy", "sword fight", "painted balcony"),
    "walks": ("river path", "Roman bridge", "hill above the town", "orchard wall", "café by the arena", "city gate"),
    "stars": ("full moon", "Milky Way", "brass telescope", "comet", "lunar eclipse", "Venus"),
    "crafts": ("oak bench", "wax candle", "linen shirt", "leather boot", "ink recipe", "clay pot"),
}

TAGS = ("verona", "weekend", "advice", "question", "review", "winter", "summer", "budget", "friends")

MOODS = (
    "splendid",
    "stubborn",
    "surprisingly good",
    "a little sad",
    "worth the wait",
    "better than last year",
    "hard to get right",
    "the talk of the square",
)

TITLES = (
    "notes on a {thing}",
    "the {thing} that was {mood}",
    "who knows about the {thing}?",
    "{thing} or {other}?",
    "a week with the {thing}",
    "what {who} told me about the {thing}",
    "at last: the {thing}",
)

OPENINGS = (
    "the {thing} was {mood}, and I would not have believed it.",
    "{who} says that the {other} matters more than the {thing}.",
    "if you only have an hour, leave the {other} and take care of the {thing}.",
    "first the {thing}, then the {other}: that order saved my morning.",
    "nobody warned me that the {thing} would be {mood}.",
    "we compared it with the {other}, and the {thing} won by a nose.",
    "I asked at the market; they had no {thing}, only a {other}.",
    "three people came to see the {thing}, and {who} stayed until dark.",
    "the secret is patience: the {thing} needs a day, the {other} two.",
    "last spring the {other} failed, this year it is {mood}.",
)

CLOSINGS = (
    "Write to me if you want to come along.",
    "More on Sunday.",
    "Corrections are welcome, as ever.",
    "Has anybody tried it another way?",
    "I shall report.",
    "Good night, good night!",
)
