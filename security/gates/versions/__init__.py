"""Model versioning: a model is bound to the run that made it, its version goes forward, and nothing that it comes from
was revoked.

Looked at are the folder's files, the registry's chain of the model's name and the chain of revocations, entry by entry,
read by the keys that travel with them. What the model must be bound to and is not the card's to say (the digest of the
features that were taken in, that of the sealed plan) is told apart from it. The signature over the files is the gate
`model_signature`'s: here is asked what a sound signature says nothing of.
"""

from security.gates.versions.facts import Facts, Item, Limits, Told, material
from security.gates.versions.gate import ModelVersioning

__all__ = ["Facts", "Item", "Limits", "ModelVersioning", "Told", "material"]
