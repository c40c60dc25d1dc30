"""Approved inputs: what a run trains on is what its plan names, signed by its producer, and nothing of it revoked.

A dataset's manifest is an in-toto Statement that lists, by partition, every object that the rows were read from. The
plan names the partitions and their versions before anything is read; a version is a digest over keys, store versions
and sizes, so that an object more, less, newer or older is another version. Revoked are digests: of a manifest, of a
partition's version, or of one object. The list travels with the material, and the judge holds what was seen against
its own list too: an observation that is judged again later is held against the list of then.
"""

from security.gates.inputs.facts import DATASET, Facts, Item, Limits, Part, Piece, material, version
from security.gates.inputs.gate import ApprovedInputs

__all__ = ["DATASET", "ApprovedInputs", "Facts", "Item", "Limits", "Part", "Piece", "material", "version"]
