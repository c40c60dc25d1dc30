"""What a policy allows of an image, and whether a run builds one."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from security.engines.login import ADDRESS, Scheme
from security.gates.image.facts import Day, Reason, Scanner, Sha
from security.verdict import Frozen

REPOSITORY = ADDRESS.removesuffix("*$").removeprefix("^") + "+$"
"""A registry and a path in it, which there must be."""


class Limits(Frozen):
    """What a policy allows. `systems`: id -> version -> the day until which it has security updates; `interpreters`:
    `3.11` -> the same; `others`: what becomes of a system or an interpreter that neither names; `floor`: how many
    packages a database has at least. `worst`: from which level on a vulnerability stops; `unfixed`: what becomes of one
    of the system's packages that no version fixes (one of a distribution stops); `days`: the age of advisories, `lists`
    that of the lists of updates; `pending`: what becomes of an update that is not installed.

    `signers`: ids of keys; `bases`: chain ids of layers that an image may begin with; `setuid`: paths; `made`:
    patterns of executable files that no package has -> reason; `secrets`: patterns of places where what looks like a
    secret is none -> reason; `opaque`: kinds of files that nobody looks into; `UnsafeClock`: a moment for now.

    `vexers`: ids of keys whose word (OpenVEX) lets a vulnerability go, for `vexed` days.
    `beside`: other scanners that are to say the same of an image -> the program, by path or name.
    `base`, `repository`: with both an image is built, on the base of this digest (of its manifest, in the home's
    `bases`), to be pushed to HOST[:PORT]/PATH; with neither none is, and a process is looked at. How the registry is
    spoken to, where the producer's credentials for it are, and which other host may ask for them: `scheme`,
    `credentials`, `tokens`, as `registry_authorization` has them.
    """

    systems: dict[str, dict[str, Day]]
    interpreters: dict[str, Day]
    others: Literal["refuse", "UnsafeAny"] = "refuse"
    floor: int = Field(default=50, ge=1)
    worst: Literal["low", "medium", "high", "critical"] = "high"
    unfixed: Literal["stop", "let"]
    days: float = Field(default=7.0, gt=0)
    lists: float = Field(default=7.0, gt=0)
    pending: Literal["stop", "UnsafeLet"] = "stop"
    signers: tuple[Sha, ...] = ()
    bases: tuple[Sha, ...] = ()
    setuid: tuple[str, ...] = ()
    made: dict[str, Reason] = {}
    secrets: dict[str, Reason] = {}
    opaque: tuple[str, ...] = ()
    UnsafeClock: str = ""
    vexers: tuple[Sha, ...] = ()
    vexed: float = Field(default=90.0, gt=0)
    beside: dict[Scanner, Annotated[str, Field(min_length=1)]] = {}
    base: str = Field(default="", pattern=r"^([0-9a-f]{64})?$")
    repository: str = Field(default="", pattern=f"^$|^{REPOSITORY}")
    scheme: Scheme = "https"
    credentials: str = Field(default="auths", pattern=r"^(auths|env:\w+|file:.+)$")
    tokens: str = Field(default="", pattern=r"^([a-z0-9]([a-z0-9.-]*[a-z0-9])?(:[0-9]{1,5})?)?$")

    @model_validator(mode="after")
    def _both(self) -> "Limits":
        if bool(self.base) != bool(self.repository):
            raise ValueError("an image is built where `base` and `repository` are both named")
        return self
