"""What a finding is, and what is never found without a model of a language. Light: judges know it without an engine."""

from typing import NamedTuple

UNSEEN = ("LOCATION", "NRP", "ORGANIZATION", "PERSON")
"""What only a model of a language finds."""


class Model(NamedTuple):
    """A model of a language (`security.personal.names`): its folder, the digest that it is pinned by, and a text in
    which it finds something of `UNSEEN`."""

    folder: str
    sha256: str
    finds: str


Found = tuple[str, int, int, float]
"""Entity, start and end in the text, score."""
