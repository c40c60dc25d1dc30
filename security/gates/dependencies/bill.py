"""The bill of materials of an environment, in CycloneDX 1.6: what is installed, or locked where nothing is, and what
of it needs what.

It is written by a library that knows the format, and read here without it: whoever looks at a bill sees the bytes that
are kept, not what was meant to be in them. Licences and needs are declared by the packages' own metadata.
"""

import hashlib
import json
import uuid
from collections.abc import Collection, Iterable, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from packageurl import PackageURL

from security.advisories.record import when
from security.errors import CannotTell
from security.gates.dependencies.facts import Bill, Dist

KIND = "pypi"
_SPACE = uuid.UUID("8a2bb7a4-6c0f-5f0b-9d4e-0a6f6b1f3c11")
_NUMBER, _DATE = uuid.UUID(int=0).urn, datetime(1, 1, 1, tzinfo=UTC)
"""In place of a bill's own, until it has them."""


def made(dists: Iterable[Dist], needs: Mapping[str, Collection[str]], now: str, *, root: str, lock: str = "") -> bytes:
    """The bill of these. `needs`: package -> packages; `now`: when, RFC 3339; `root`: what all of this is for; `lock`:
    SHA-256 of the lock that has the hashes of their files."""
    every = {(dist.name, dist.version): dist for dist in dists}
    edges = {name: {*needs.get(name, ())} - {name} for name, _ in every}
    about = sorted((each.model_dump_json(), sorted(edges[each.name])) for each in every.values())
    here = tuple(dist for _, dist in sorted(every.items()))
    body = _undated(here, tuple((name, tuple(sorted(others))) for name, others in edges.items()), root, lock)
    own = uuid.uuid5(_SPACE, repr((about, now, root, lock))).urn
    for key, none, told in (("serialNumber", _NUMBER, own), ("timestamp", _DATE, when(now))):
        head, found, tail = body.partition(f'"{key}": "{_text(none)}"')
        if not found:
            raise CannotTell(f"a bill of materials without {key}")
        body = f'{head}"{key}": "{_text(told)}"{tail}'
    return body.encode()


def _text(told: str | datetime) -> str:
    return told if isinstance(told, str) else told.isoformat()


@lru_cache(maxsize=16)
def _undated(dists: tuple[Dist, ...], needs: tuple[tuple[str, tuple[str, ...]], ...], root: str, lock: str) -> str:
    """The bill of these packages, of no date and with no number of its own: what takes a library a quarter of a second,
    and is the same of the same packages."""
    from cyclonedx.contrib.license.factories import LicenseFactory
    from cyclonedx.model import Property
    from cyclonedx.model.bom import Bom
    from cyclonedx.model.component import Component, ComponentType
    from cyclonedx.model.dependency import Dependency
    from cyclonedx.model.license import LicenseAcknowledgement
    from cyclonedx.output.json import JsonV1Dot6

    whole, edges = Component(name=root, type=ComponentType.APPLICATION, bom_ref=root), dict(needs)
    bill = Bom(serial_number=uuid.UUID(_NUMBER))
    bill.metadata.timestamp, bill.metadata.component = _DATE, whole
    bill.metadata.tools.components.add(Component(name="sluice", type=ComponentType.APPLICATION))
    if lock:
        bill.metadata.properties.add(Property(name="sluice:lock:sha256", value=lock))
    licences, declared, refs = LicenseFactory(), LicenseAcknowledgement.DECLARED, {}
    for dist in dists:
        # What came from elsewhere is not the package of that name of the index.
        url = None if dist.direct else PackageURL(KIND, None, dist.name, dist.version)
        part = Component(
            name=dist.name,
            version=dist.version,
            type=ComponentType.LIBRARY,
            purl=url,
            bom_ref=url.to_string() if url else f"{dist.name} {dist.version}",
            licenses=[licences.make_from_string(dist.licence, license_acknowledgement=declared)]
            if dist.licence
            else [],
        )
        bill.components.add(part)
        refs[dist.name] = part.bom_ref
    below = {refs[name]: [refs[other] for other in others if other in refs] for name, others in edges.items()}
    below[whole.bom_ref] = [refs[name] for name in _roots(edges)]
    bill.dependencies = [Dependency(ref, [Dependency(to) for to in others]) for ref, others in below.items()]
    return str(JsonV1Dot6(bill).output_as_string(indent=1))


def _roots(edges: Mapping[str, Collection[str]]) -> list[str]:
    """What nothing else needs; and one of each circle of packages that only need each other."""
    needed = {other for others in edges.values() for other in others}
    roots, left = [], dict(edges)
    for name in [*(each for each in sorted(edges) if each not in needed), *sorted(needed & edges.keys())]:
        if name in left:
            roots.append(name)
            below = [name]
            while below:
                below += left.pop(below.pop(), ())
    return roots


def seen(body: bytes, here: Collection[tuple[str, str]]) -> Bill:
    """What a bill says, held against the packages and versions that are here."""
    sha = hashlib.sha256(body).hexdigest()
    try:
        told = json.loads(body)
        if (told["bomFormat"], told["specVersion"]) != ("CycloneDX", "1.6"):
            raise ValueError
        listed = [_package(each) for each in told.get("components", [])]
        if len({*listed}) != len(listed):
            raise ValueError
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return Bill(sha256=sha, read=False, listed=0, missing=(), strange=())
    missing, strange = {*here} - {*listed}, {*listed} - {*here}
    return Bill(sha256=sha, read=True, listed=len(listed), missing=_spelled(missing), strange=_spelled(strange))


def _package(component: Mapping[str, Any]) -> tuple[str, str]:
    name, version = str(component["name"]), str(component["version"])
    if component.keys() & {"components", "group"} or component.get("purl", "") not in ("", _url(name, version)):
        raise ValueError
    return name, version


def _url(name: str, version: str) -> str:
    return PackageURL(KIND, None, name, version).to_string()


def _spelled(packages: Iterable[tuple[str, str]]) -> tuple[str, ...]:
    return tuple(f"{name} {version}" for name, version in sorted(packages))
