"""Model artefacts: what the files of a model are made of, told without loading any of them.

A file's format is what both its name and its content say; each is read by a reader of our own that takes that format
strictly and within bounds (`security/engines`). Safetensors, JSON and Parquet are taken by default; an artefact of
Keras or a SavedModel only where the policy names it, and then to its last layer and operation, each of which is on a
list (`known`) or refused. What a model answers is no matter of this gate; nor is who made it.
"""

from security.gates.artifact.facts import MOST, SIGNATURE, Facts, Item, Limits, material
from security.gates.artifact.gate import ModelArtifactScan

__all__ = ["MOST", "SIGNATURE", "Facts", "Item", "Limits", "ModelArtifactScan", "material"]
