"""What a policy may say of personal data: for a column it knows by name, what becomes of what is found there.

Whatever it does not name is blocked. So a column that appears tomorrow is blocked too, and no policy can say otherwise.
"""

from collections.abc import Collection
from typing import Literal, Self

from pydantic import Field, model_validator

from security.gates.personal.facts import NAMES, PLAIN, SPLIT, Facts, Hit
from security.verdict import Frozen

Action = Literal["block", "mask", "hash", "drop", "UnsafeKeep"]
"""Stop the run; write the entity's name in its place; a keyed hash in place of the cell; leave the row out, or of a
column that is not kept anyway let it be gone; keep it as it is."""
Role = Literal["id", "time", "agent", "text"]
"""Pseudonyms; moments; what a browser says of itself; anything."""
CHANCE, FEW = 0.25, 20
"""Of ids that are written like a card's number, every tenth passes its check of one digit. Above this share of those,
and in no fewer cells than these where others are written otherwise, it is no chance any more."""
CHECKED = frozenset({"CREDIT_CARD", "MEDICAL_LICENSE", "UK_NHS"})
"""Entities with a check of one digit."""
WHOLE = ("digits", "word", "release")
"""Shapes of a cell that is an id, or of all of it that is not what ids of one kind begin with."""
CERTAIN = frozenset({"CRYPTO", "EMAIL_ADDRESS", "IBAN_CODE"})
"""Entities whose check, or form, hardly any id meets by chance."""


class Language(Frozen):
    """A model of a language to look with: `at` which folder (`env:NAME` or `file:PATH`), its `sha256`
    (`security.personal.names.pin`), and a text in which it `finds` somebody: it is planted as a canary."""

    at: str = Field(pattern="^(env|file):.+$")
    sha256: str = Field(pattern="^[0-9a-f]{64}$")
    finds: str = Field(min_length=3, max_length=1_000)


class PersonalLimits(Frozen):
    """Actions by column and entity, `*` for every other entity; and what the contract says that columns are."""

    actions: dict[str, dict[str, Action]] = {}
    key: str = ""
    """Where the key for `hash` is: `env:NAME`, `file:PATH`, or `UnsafeLocal` for one made beside the run's own keys."""
    model: Language | None = None
    roles: dict[str, Role] = {}
    handled: bool = False
    """Whether what had to be done has been done: then nothing may be left that is not kept on purpose."""

    @model_validator(mode="after")
    def _sound(self) -> Self:
        if "*" in self.actions:
            raise ValueError("actions: no column is called '*': what is not named is blocked")
        if odd := sorted(column for column in self.actions if column != NAMES and not PLAIN.fullmatch(column)):
            raise ValueError(f"actions: no column is called {odd[0]!r}; allowed: letters, digits, `_`, `.`, `-`")
        wanted = sorted(column for column, told in self.actions.items() if "hash" in told.values())
        if wanted and not self.key:
            raise ValueError(f"actions: {wanted[0]} is to be hashed, and no key is named")
        if self.key and not self.key.startswith(("env:", "file:")) and self.key != "UnsafeLocal":
            raise ValueError("key: allowed: env:NAME, file:PATH, UnsafeLocal")
        return self

    def action(self, column: str, entity: str) -> Action:
        """What becomes of an entity in a column."""
        told = self.actions.get(column, {})
        return told.get(entity, told.get("*", "block"))

    def whole(self, column: str) -> set[Action]:
        """Everything that may become of something in a column."""
        told = self.actions.get(column, {})
        return {*told.values(), told.get("*", "block")}

    def blocks(self, hit: Hit, kept: Collection[str]) -> bool:
        """Whether a finding stops the run; `kept` are the columns that stay.

        What lies over two columns is undone in neither, so one that stays cannot have it.
        """
        split = hit.form == "split"
        for column in hit.column.split(SPLIT) if split else [hit.column]:
            action = self.action(column, hit.entity)
            if action == "block" or (action != "UnsafeKeep" and (self.handled or (split and column in kept))):
                return True
        return False

    def counts(self, hit: Hit, facts: Facts) -> bool:
        """Whether a finding is one, by what its column is declared to be: ids look like many things.

        Over two columns an address or an IBAN is one.
        """
        if hit.form == "split":
            return hit.entity in CERTAIN or facts.share(hit) > CHANCE
        if hit.entity in CERTAIN or hit.column not in self.roles:
            return True
        bare, role = hit.shape in (*WHOLE, "part", "uuid"), self.roles.get(hit.column, "text")
        if role in ("id", "time") and bare:
            alike = hit.cells >= FEW and facts.like(hit) > CHANCE
            return hit.entity in CHECKED and hit.shape in WHOLE and (alike or facts.share(hit) > CHANCE)
        if role == "id":
            return hit.entity not in ("UUID", "URL", "DATE_TIME")
        if role == "time":
            return hit.entity != "DATE_TIME"
        if role == "agent":
            return hit.entity == "CREDIT_CARD" or (
                hit.entity not in ("URL", "DATE_TIME") and hit.shape not in ("version", "release")
            )
        return True
