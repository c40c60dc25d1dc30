"""Approval: a person, who is not the producer, signed that this very model may go to this target, until a day.

An approval is a DSSE envelope of its own, signed by an approver's key: it binds the digest of a model's files, its
name, the digest of the image that brings it there, the target, who asked and until when. A click, a state or a tag
approves nothing. Envelopes stand whole in the facts, so that whoever judges the observation again verifies the
signatures too.
"""

from security.gates.approval.claim import name, read, sign
from security.gates.approval.facts import NOBODY, Facts, Item, Limits, material
from security.gates.approval.gate import Approval

__all__ = ["NOBODY", "Approval", "Facts", "Item", "Limits", "material", "name", "read", "sign"]
