"""Of findings in one text that overlap, the one that counts.

A recogniser knows nothing of the others: the digits of an account hold telephone numbers, and an address of four
numbers looks like one. What has a check digit comes first, then what has a form of its own, last what only its length
and its first digits tell; of one rank the higher score, then the longer, then the first.
"""

from collections.abc import Iterable

from security.personal.found import Found

SURE = 1.0
"""The score of what has a check digit, and has the right one."""
CHANCE = "UK_NHS"
"""Has a check digit that every eleventh number of ten digits meets, those to call among them: it comes after these."""
LOOSE = ("PHONE_NUMBER", CHANCE, "US_DRIVER_LICENSE", "US_PASSPORT", "US_BANK_NUMBER", "US_ITIN", "DATE_TIME")
"""Entities without a form of their own, the more telling first."""


def resolved(found: Iterable[Found]) -> tuple[Found, ...]:
    """The findings of one text without those that lie, in part or in all, in a place of one that counts more."""
    kept: list[Found] = []
    for each in sorted(found, key=_rank):
        if all(each[2] <= other[1] or other[2] <= each[1] for other in kept):
            kept.append(each)
    return tuple(sorted(kept, key=lambda each: each[1:3]))


def _rank(each: Found) -> tuple[bool, int, float, int, int, str]:
    entity, start, end, score = each
    sure = score >= SURE and entity != CHANCE
    return not sure, LOOSE.index(entity) + 1 if entity in LOOSE else 0, -score, start - end, start, entity
