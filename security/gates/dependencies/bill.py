"""The bill of materials of an environment, in CycloneDX 1.6: what is installed, or locked where nothing is, and what
of it needs what.

It is written by a library that knows the format, and read here without it: whoever looks at a bill sees the bytes that
are kept, not what was meant to be in them. Licences and needs are declared by the packages' own metadata.
"""

import hashlib
import json
import uuid
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from packageurl import PackageURL

from security.advisories.record import when
from security.gates.dependencies.facts import Bill, Dist

KIND = "pypi"
_SPACE = uuid.UUID("8a2bb7a4-6c0f-5f0b-9d4e-0a6f6b1f3c11")


def made(
    dists: Iterable[Dist],
    hashes: Mapping[str, Collection[str]],
    needs: Mapping[str, Collection[str]],
    now: str,
    *,
    root: str,
) -> bytes:
    """The bill of these. `hashes`: package -> SHA-256 of the files that its lock takes; `needs`: package -> packages;
    `now`: when, RFC 3339; `root`: what all of this is for."""
    from cyclonedx.contrib.license.factories import LicenseFactory
    from cyclonedx.model import ExternalReference, ExternalReferenceType, HashAlgorithm, HashType, XsUri
    from cyclonedx.model.bom import Bom
    from cyclonedx.model.component import Component, ComponentType
    from cyclonedx.model.dependency import Dependency
    from cyclonedx.output.json import JsonV1Dot6

    every = {(dist.name, dist.version): dist for dist in dists}
    licences = LicenseFactory()
    whole = Component(name=root, type=ComponentType.APPLICATION, bom_ref=root)
    bill = Bom(serial_number=uuid.uuid5(_SPACE, repr((sorted(every), now))))
    bill.metadata.timestamp = when(now)
    bill.metadata.component = whole
    parts: dict[str, Any] = {}
    for name, version in sorted(every):
        url = PackageURL(KIND, None, name, version)
        files = [HashType(alg=HashAlgorithm.SHA_256, content=each) for each in sorted(hashes.get(name, ()))]
        told = every[name, version].licence
        parts[name] = Component(
            name=name,
            version=version,
            type=ComponentType.LIBRARY,
            purl=url,
            bom_ref=url.to_string(),
            licenses=[licences.make_from_string(told)] if told else [],
            external_references=[
                ExternalReference(type=ExternalReferenceType.DISTRIBUTION, url=XsUri(url.to_string()), hashes=files)
            ]
            if files
            else [],
        )
        bill.components.add(parts[name])
    refs = {name: part.bom_ref for name, part in parts.items()}
    needed = {other for name in refs for other in needs.get(name, ()) if other != name}
    edges = {refs[name]: [refs[other] for other in needs.get(name, ()) if other in refs] for name in refs}
    edges[whole.bom_ref] = [refs[name] for name in refs if name not in needed] or [*refs.values()]
    bill.dependencies = [Dependency(ref, [Dependency(to) for to in others]) for ref, others in edges.items()]
    return JsonV1Dot6(bill).output_as_string(indent=1).encode()


def seen(body: bytes, here: Collection[tuple[str, str]]) -> Bill:
    """What a bill says, held against the packages and versions that are here."""
    sha = hashlib.sha256(body).hexdigest()
    try:
        told = json.loads(body)
        if (told["bomFormat"], told["specVersion"]) != ("CycloneDX", "1.6"):
            raise ValueError
        listed = [_package(each) for each in told.get("components", [])]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return Bill(sha256=sha, read=False, listed=0, missing=(), strange=())
    missing, strange = {*here} - {*listed}, {*listed} - {*here}
    return Bill(sha256=sha, read=True, listed=len(listed), missing=_spelled(missing), strange=_spelled(strange))


def _package(component: Mapping[str, Any]) -> tuple[str, str]:
    url = PackageURL.from_string(component["purl"])
    if url.type != KIND or (url.name, url.version) != (component["name"], component["version"]):
        raise ValueError
    return url.name, str(url.version)


def _spelled(packages: Iterable[tuple[str, str]]) -> tuple[str, ...]:
    return tuple(f"{name} {version}" for name, version in sorted(packages))
