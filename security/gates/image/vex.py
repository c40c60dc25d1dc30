"""OpenVEX 0.2.0: what somebody says of vulnerabilities in an image, read from signed statements, and strictly.

A document counts as an in-toto statement about the image's digest in a DSSE envelope, among its attestations or handed
beside them. Each of its statements is about this image, or about packages that are in it at their versions, by package
URL; about one vulnerability; and has a moment. A property that is not known, or is there twice, is refused.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Annotated, Any, get_args

import msgspec
from packageurl import PackageURL
from packaging.utils import canonicalize_name

from security.advisories.record import when
from security.gates.image.facts import MOST, Said, Status, Vex
from security.gates.image.signed import envelope, listed
from security.inventory import Inventory

OPENVEX = re.compile(r"https://openvex\.dev/ns(/v0\.2\.0)?")
"""The types of predicates, and of documents, that this reads."""
STATUSES = get_args(Status)
JUSTIFICATIONS = (
    "component_not_present",
    "vulnerable_code_not_present",
    "vulnerable_code_not_in_execute_path",
    "vulnerable_code_cannot_be_controlled_by_adversary",
    "inline_mitigations_already_exist",
)
Text = Annotated[str, msgspec.Meta(min_length=1, max_length=2_000)]


class _Component(msgspec.Struct, forbid_unknown_fields=True):
    id: Text = msgspec.field(name="@id")
    identifiers: dict[str, Text] = msgspec.field(default_factory=dict)
    hashes: dict[str, Text] = msgspec.field(default_factory=dict)
    subcomponents: list["_Component"] = msgspec.field(default_factory=list)


class _Vulnerability(msgspec.Struct, forbid_unknown_fields=True):
    name: Text
    id: str = msgspec.field(name="@id", default="")
    description: str = ""
    aliases: list[Text] = msgspec.field(default_factory=list)


class _Statement(msgspec.Struct, forbid_unknown_fields=True):
    vulnerability: _Vulnerability
    products: Annotated[list[_Component], msgspec.Meta(min_length=1)]
    status: Text
    id: str = msgspec.field(name="@id", default="")
    version: int = 1
    timestamp: str = ""
    last_updated: str = ""
    supplier: str = ""
    status_notes: str = ""
    justification: str = ""
    impact_statement: str = ""
    action_statement: str = ""
    action_statement_timestamp: str = ""


class _Document(msgspec.Struct, forbid_unknown_fields=True):
    context: Text = msgspec.field(name="@context")
    id: Text = msgspec.field(name="@id")
    author: Text
    timestamp: Text
    version: Annotated[int, msgspec.Meta(ge=1)]
    statements: Annotated[list[_Statement], msgspec.Meta(min_length=1, max_length=MOST)]
    role: str = ""
    last_updated: str = ""
    tooling: str = ""


def documents(
    given: Iterable[bytes], handed: Iterable[bytes], keys: Sequence[bytes], sha: str, here: Inventory
) -> Iterator[Vex]:
    """What is told by documents among attestations (`given`), of which others are passed over, and by those that are
    handed beside (`handed`), which are to be nothing else."""
    parts = listed(here)
    for line, alone in [*((each, False) for each in given), *((each, True) for each in handed)]:
        opened = envelope(line, keys)
        if opened is None:
            if alone:
                yield Vex(broken="no signed statement")
            continue
        said, signed = opened
        if not OPENVEX.fullmatch(str(said["predicateType"])):
            if alone:
                yield Vex(broken="a statement of another type", keys=signed)
            continue
        about = sha in [each["digest"].get("sha256") for each in said["subject"]]
        if alone and signed and not about:
            continue  # of the image of another run, beside this one's
        try:
            yield Vex(keys=signed, about=about, said=tuple(_read(said.get("predicate"), sha, parts)))
        except (ValueError, KeyError, TypeError, RecursionError) as why:
            yield Vex(keys=signed, about=about, broken=ascii(str(why)[:200])[1:-1] or type(why).__name__)


def _read(predicate: Any, sha: str, parts: set[tuple[str, str, str]]) -> Iterator[Said]:
    told = msgspec.convert(predicate, _Document)
    if not OPENVEX.fullmatch(told.context):
        raise ValueError("another version than OpenVEX 0.2.0")
    for number, each in enumerate(told.statements, 1):
        place = f"statement {number}"
        at = each.last_updated or each.timestamp or told.last_updated or told.timestamp
        when(at)
        if each.status not in STATUSES:
            raise ValueError(f"{place}: found a status that is none; allowed: {', '.join(STATUSES)}")
        if each.status == "not_affected" and each.justification not in JUSTIFICATIONS:
            raise ValueError(f"{place}: found not_affected without a justification; allowed: with one")
        if each.status == "affected" and not each.action_statement:
            raise ValueError(f"{place}: found affected without an action; allowed: with one")
        yield Said(
            ids=tuple(sorted({_id(one) for one in (each.vulnerability.name, *each.vulnerability.aliases)})),
            status=each.status,
            at=at,
            parts=tuple(_bound(each.products, sha, parts)),
        )


def _bound(products: Sequence[_Component], sha: str, parts: set[tuple[str, str, str]]) -> Iterator[str]:
    """The packages here that a statement is about: kind, name and version of each, or `*` for all that is in the image.
    Nothing where it is about something else."""
    for product in products:
        if not _is(product, sha):
            yield from _parts(product, parts)
        elif not product.subcomponents:
            yield "*"
        for each in product.subcomponents if _is(product, sha) else ():
            yield from _parts(each, parts)


def _is(component: _Component, sha: str) -> bool:
    """Whether a product is this image, by a package URL with its digest or by its hash."""
    if component.hashes.get("sha-256") == sha:
        return True
    url = _url(component)
    return url is not None and url.type == "oci" and url.version == f"sha256:{sha}"


def _parts(component: _Component, parts: set[tuple[str, str, str]]) -> Iterator[str]:
    if (url := _url(component)) is None or not url.version:
        return
    name = canonicalize_name(url.name) if url.type == "pypi" else url.name
    if (url.type, name, url.version) in parts:
        yield f"{url.type} {name} {url.version}"


def _url(component: _Component) -> PackageURL | None:
    try:
        return PackageURL.from_string(component.identifiers.get("purl") or component.id)
    except ValueError:
        return None


def _id(told: str) -> str:
    return ascii(told.removeprefix("DEBIAN-")[:60])[1:-1]

