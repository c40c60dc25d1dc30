"""Encryption at rest: what the bucket does by default, and how each version that was read lies in the store.

The bucket's default says how new objects are encrypted, nothing about those that are there; so each version read is
asked for too. A key is compared as the store names it: give the policy the ARN. What the store says of itself is only
as good as the store: the embedded lake declares and does not encrypt, and its answers have the basis `declared`.

That what was read is what lies there is shown by three words on each version: the manifest's, of the task that read
it; the file's in quarantine, which the runner hashes itself; and the store's, its size and the SHA-256 that it keeps.
Where a store keeps none, that is told and no finding: only the task then says which bytes it was sent.

What a run writes itself lies on volumes of its machine. Whether these are encrypted is always looked at and told; that
they are is demanded only where a policy says so, since a machine may not see what encrypts it from below.
"""

from security.gates.rest.facts import ABSENT, DEFAULT, VOLUMES, Facts, Held, Kept, Kind, Limits, Sealed, Sum
from security.gates.rest.gate import DataEncryptionAtRest, material

__all__ = [
    "ABSENT",
    "DEFAULT",
    "VOLUMES",
    "DataEncryptionAtRest",
    "Facts",
    "Held",
    "Kept",
    "Kind",
    "Limits",
    "Sealed",
    "Sum",
    "material",
]
