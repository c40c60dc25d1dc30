"""Rules as an API server tells them, read as RBAC reads them (kubernetes/kubernetes, pkg/apis/rbac/v1:
`VerbMatches`, `APIGroupMatches`, `ResourceMatches`, `ResourceNameMatches`, `NonResourceURLMatches`).

`*` among verbs, groups or resources is all of them; `*/scale` is that subresource of every resource; `pods` is not
`pods/exec`. A rule that names objects grants nothing where no object is named.
"""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from security.access.action import Action
from security.verdict import Frozen

Word = Annotated[str, Field(max_length=253, pattern=r"^[A-Za-z0-9*:._/-]*$")]
Path = Annotated[str, Field(max_length=253, pattern=r"^(\*|/[A-Za-z0-9*:._/~%-]*)$")]


class Grant(Frozen):
    """Verbs on resources. `names`: of the objects; none for all."""

    verbs: tuple[Word, ...]
    groups: tuple[Word, ...]
    resources: tuple[Word, ...]
    names: tuple[Word, ...] = ()

    def allows(self, attributes: dict[str, str]) -> bool:
        """Whether it grants what a review would ask for."""
        resource, sub = attributes.get("resource", ""), attributes.get("subresource", "")
        whole = f"{resource}/{sub}" if sub else resource
        return (
            any(each in ("*", attributes.get("verb", "")) for each in self.verbs)
            and any(each in ("*", attributes.get("group", "")) for each in self.groups)
            and any(each in ("*", whole) or (sub and each == f"*/{sub}") for each in self.resources)
            and (not self.names or attributes.get("name", "") in self.names)
        )


class Paths(Frozen):
    """Verbs on addresses that are no resource's. One that ends with `*` is all that begin like it."""

    verbs: tuple[Word, ...]
    paths: tuple[Path, ...]


@dataclass(frozen=True, order=True)
class Excess:
    """One thing that a rule grants: verb, resource (or address), group; on one object (`name`), or all (None)."""

    verb: str
    resource: str
    group: str = ""
    name: str | None = None

    @property
    def label(self) -> str:
        """`get secrets`, `patch deployments.apps NAME`."""
        kind = f"{self.resource}.{self.group}" if self.group else self.resource
        return f"{self.verb} {kind}" + (f" {self.name or '(no name)'}" if self.name is not None else "")


def allows(grants: Iterable[Grant], action: Action, here: str) -> bool:
    """Whether one of these rules grants an action."""
    attributes = action.attributes(here)
    return any(each.allows(attributes) for each in grants)


def beyond(
    grants: Iterable[Grant], paths: Iterable[Paths], needed: Collection[Action], here: str, given: Collection[Excess]
) -> Iterator[Excess]:
    """Everything that the rules spell and that is neither needed nor `given` to everybody.

    Whoever is granted all of something is granted more than one needed part of it; and since nobody can need all
    verbs, groups or resources, a star is always beyond.
    """
    every = {(each.verb, each.resource, each.group) for each in needed if not each.named}
    named = {(each.verb, each.resource, each.group, here) for each in needed if each.named}
    for each in _spelled(grants, paths):
        what = (each.verb, each.resource, each.group)
        if what not in every and (*what, each.name) not in named and each not in given:
            yield each


def _spelled(grants: Iterable[Grant], paths: Iterable[Paths]) -> Iterator[Excess]:
    for grant in grants:
        names: tuple[str | None, ...] = grant.names or (None,)
        for verb in grant.verbs:
            for group in grant.groups:
                yield from (Excess(verb, resource, group, name) for resource in grant.resources for name in names)
    for told in paths:
        yield from (Excess(verb, path) for verb in told.verbs for path in told.paths)
