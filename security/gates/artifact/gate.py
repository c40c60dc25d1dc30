"""The gate over what a model's files are made of."""

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from security.gate import Gate, Violation
from security.gates.artifact import rules
from security.gates.artifact.decoys import VIOLATIONS
from security.gates.artifact.facts import Facts, Item, Limits
from security.gates.artifact.look import look
from security.material import Handed
from security.verdict import Breach, Frozen, Rule

_CONTROLS = ("NIST SSDF PW.4.4", "OWASP ML06:2023", "OWASP LLM03:2025", "MITRE ATLAS AML.T0010")
_CODE = (*_CONTROLS, "MITRE ATLAS AML.T0011.000", "MITRE ATLAS AML.T0018.002")
_BOMB = ("NIST SSDF PW.4.4", "OWASP ML06:2023", "MITRE ATLAS AML.T0029")
_DATA = ("NIST SSDF PW.4.4", "OWASP ML10:2023", "MITRE ATLAS AML.T0018")
_FRESH = "write the model anew, by the code that trained it; find out who wrote this one"
_CONVERT = "convert it to safetensors and JSON, or let the policy name the format"
_LAYERS = "build the model of layers that are allowed, or let the policy name the layer after reading its source"
_KERAS = frozenset({"ART-10", "ART-11", "ART-12", "ART-13"})
_SAVED = frozenset({"ART-14", "ART-15", "ART-16"})


class ModelArtifactScan(Gate[Item]):
    """A model's folder holds data and nothing that runs: formats, structure, sizes, numbers and shapes are allowed."""

    name: ClassVar[str] = "model_artifact_scan"
    kind: ClassVar[str] = "model"
    limits: ClassVar[type[Frozen]] = Limits
    facts: ClassVar[type[Frozen]] = Facts
    rules: ClassVar[Mapping[str, Rule]] = {
        id: Rule(id=id, title=title, severity=severity, remedy=remedy, controls=controls)
        for id, severity, title, remedy, controls in (
            ("ART-01", "critical", "what is no plain file, or has a name that leads elsewhere", _FRESH, _CONTROLS),
            ("ART-02", "critical", "a file of a format that is not allowed", _CONVERT, _CODE),
            ("ART-03", "critical", "a file that is of two formats", _FRESH, _CODE),
            ("ART-04", "high", "a file that is not, strictly, what its name says", _FRESH, _CONTROLS),
            ("ART-05", "high", "more than is allowed: bytes, files, depth, what is unpacked", _FRESH, _BOMB),
            ("ART-06", "high", "numbers that are not finite", "train again, with a smaller step", _DATA),
            ("ART-07", "high", "tensors that do not fit the manifest", _FRESH, _DATA),
            ("ART-08", "high", "a file too many, or one that is missing", _FRESH, _CONTROLS),
            ("ART-09", "critical", "JSON in which a reader would find code", "remove the key", _CODE),
            ("ART-10", "critical", "an archive with other members, or that leads out of itself", _FRESH, _CODE),
            ("ART-11", "critical", "HDF5 that leads out of itself, or loads code", _FRESH, _CODE),
            ("ART-12", "critical", "a class of Keras that is on no list", _LAYERS, _CODE),
            ("ART-13", "critical", "a configuration with a key or a text that is on no list", _LAYERS, _CODE),
            ("ART-14", "critical", "an operation that is on no list", _LAYERS, _CODE),
            ("ART-15", "critical", "a graph that could read or write any file", _FRESH, _CODE),
            ("ART-16", "critical", "a graph with parts that a loader would act on", "export it again, without", _CODE),
        )
    }  # fmt: skip
    violations: ClassVar[Mapping[str, Violation[Any]]] = VIOLATIONS

    def look(self, material: Handed[Item]) -> Facts:
        """Each file by the reader of its format; none is loaded."""
        return look(material)

    def judge(self, facts: Facts, limits: Limits) -> Iterator[Breach]:
        """Breaches, files first."""
        yield from rules.files(facts, limits)
        yield from rules.numbers(facts)
        yield from rules.manifest(facts, limits)
        yield from rules.made(facts, limits)

    def active(self, limits: Limits) -> tuple[str, ...]:
        """All, but those of formats that are refused whole, and of manifests that nobody gave."""
        off = {"ART-07"} if limits.tensors is None else set[str]()
        off |= {"ART-08"} if limits.files is None else set()
        off |= set() if "keras" in limits.formats else _KERAS
        off |= set() if "savedmodel" in limits.formats else _SAVED
        return tuple(rule for rule in self.rules if rule not in off)

    def brief(self, facts: Facts) -> str:
        """How many files and tensors, of which formats."""
        forms = sorted({each.format for each in facts.files if each.format})
        total = sum(each.size for each in facts.files)
        return f"{total:,} bytes, {len(facts.weights):,} tensors, {', '.join(forms)}"
