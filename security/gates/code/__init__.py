"""Code integrity: what runs is what was reviewed.

Every file that is here is hashed against the tree of a commit (not against the index, which is the attacker's, as is
all of a repository but its objects and who signed them), or against a signed list where there is no checkout. What is
too much counts as what differs, ignored or not, since what is ignored is said by the repository too. Commits are signed
by keys of a list that the policy holds. Bytecode is compared with its source, compiled again. What was imported is held
against the same files. Nothing of what is looked at is run, and no link is followed.
"""

from security.gates.code.compare import digest, parents, spelled
from security.gates.code.facts import (
    MANIFEST,
    Entry,
    Facts,
    Found,
    Item,
    Limits,
    Listed,
    Loaded,
    matches,
    material,
)
from security.gates.code.gate import CodeIntegrity
from security.gates.code.manifest import sealed

__all__ = [
    "MANIFEST",
    "CodeIntegrity",
    "Entry",
    "Facts",
    "Found",
    "Item",
    "Limits",
    "Listed",
    "Loaded",
    "digest",
    "material",
    "matches",
    "parents",
    "sealed",
    "spelled",
]
