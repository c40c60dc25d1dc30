"""Manifests as the gates over them are handed them."""

from collections.abc import Iterable

from security.manifests.reader import Item
from security.material import Material
from security.verdict import Basis, Subject


def material(subject: Subject, items: Iterable[Item], *, expected: int, basis: Basis) -> Material[Item]:
    """Files by name, for one look; what a probe saw may be among them (`security.gates.network.PROBE`).

    `expected`: how many there are by a listing that whoever made them did not write. `basis`: `rendered`, or `observed`
    where a cluster gave them.
    """
    held = list(items)
    return Material(subject, lambda: held, expected=expected, unit="manifests", sample=len(held) or 1, basis=basis)
