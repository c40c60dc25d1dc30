"""The bill of materials of a model: CycloneDX 1.6 with a model card, as canonical JSON.

The common library has no model card, so the JSON is written here; a test holds it against the published schema. What is
in it is told apart: `declared` is what people wrote beforehand, `observed` what a run or its gates saw. The card names
the basis of each of its parts in its properties (`sluice:basis:PART`).

A schema asks for none of it: what a complete card lacks, `complete.missing` says.
"""

import json
import uuid
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pydantic import Field

from security.errors import LogBroken
from security.gates.model import release
from security.models.provenance import moment
from security.models.statement import Claim, card, shas
from security.verdict import Frozen, canonical, digest

if TYPE_CHECKING:  # who only checks carries no configuration
    from configs.card import Card

_SPACE = uuid.UUID("3d0b9f3e-6a51-5d57-8c0f-6d0f2b2f7a10")
BASIS = "sluice:basis:"
OBSERVED = ("modelParameters.datasets", "quantitativeAnalysis.performanceMetrics")


class Metric(Frozen):
    """One figure: what was measured, its value, on which part of the data, and its interval where one is known."""

    type: str = Field(min_length=1)
    value: float
    slice: str = Field(min_length=1)
    interval: tuple[float, float] | None = None

    def spelled(self) -> dict[str, Any]:
        """As CycloneDX has it: numbers are text."""
        told: dict[str, Any] = {"type": self.type, "value": repr(self.value), "slice": self.slice}
        if self.interval is not None:
            lower, upper = self.interval
            told["confidenceInterval"] = {"lowerBound": repr(lower), "upperBound": repr(upper)}
        return told


def made(
    files: Mapping[str, bytes],
    datasets: Mapping[str, str],
    declared: "Card",
    metrics: Sequence[Metric],
    *,
    seconds: float,
    frameworks: Mapping[str, str],
) -> bytes:
    """The bill of a model with these files. `datasets`: what it is called -> SHA-256; `metrics`: as they were observed;
    `seconds`: that the training took; `frameworks`: package -> version."""
    from cyclonedx.spdx import is_supported_id

    if not is_supported_id(declared.licence):
        raise LogBroken(f"a model card: licence: found {declared.licence!a}; allowed: an id of SPDX")
    told, whole = card(files)
    hyper = whole.get("hyperparameters", {})
    origin = {"run": told.run, "data": told.data, "code": told.code, "lock": told.lock, "plan": told.plan}
    origin |= {"release": release(files), "declared": digest(declared.model_dump(mode="json"))}
    about = {
        "type": "machine-learning-model",
        "bom-ref": "model",
        "name": told.name,
        "version": str(told.version),
        "description": declared.description,
        "supplier": {"name": declared.supplier},
        "licenses": [{"license": {"id": declared.licence, "acknowledgement": "declared"}}],
        "hashes": _hash(shas(files)["model.json"]),
        "modelCard": _card(declared, datasets, metrics, hyper, seconds),
        "properties": _properties({f"sluice:{name}": sha for name, sha in origin.items()}),
    }
    components = [
        *({"type": "file", "bom-ref": f"file:{n}", "name": n, "hashes": _hash(sha)} for n, sha in shas(files).items()),
        *(_data(name, sha, declared) for name, sha in datasets.items()),
        *({"type": "framework", "bom-ref": f"framework:{n}", "name": n, "version": v} for n, v in frameworks.items()),
    ]
    components.sort(key=lambda each: str(each["bom-ref"]))
    bill = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            "timestamp": moment(told.created),
            "tools": {"components": [{"type": "application", "name": "sluice"}]},
            "component": about,
        },
        "components": components,
        "dependencies": [
            {"ref": "model", "dependsOn": [each["bom-ref"] for each in components]},
            *({"ref": each["bom-ref"]} for each in components),
        ],
    }
    return canonical(bill | {"serialNumber": uuid.uuid5(_SPACE, canonical(bill).decode()).urn})


def _card(
    declared: "Card", datasets: Mapping[str, str], metrics: Iterable[Metric], hyper: Mapping[str, Any], seconds: float
) -> dict[str, Any]:
    said = declared.model_dump(mode="json")
    considered = said["considerations"]
    costs = {f"declared:{n}": text for n, text in enumerate(considered["environmentalConsiderations"], 1)}
    costs["observed:training:seconds"] = repr(round(seconds, 3))
    found = {
        "modelParameters": {
            **{name: said[name] for name in _DECLARED},
            "datasets": [{"ref": f"data:{name}"} for name in sorted(datasets)],
        },
        "quantitativeAnalysis": {"performanceMetrics": [each.spelled() for each in metrics]},
        "considerations": considered | {"environmentalConsiderations": {"properties": _properties(costs)}},
    }
    basis = {BASIS + part: "observed" if part in OBSERVED else "declared" for part in parts(found)}
    basis[f"{BASIS}considerations.environmentalConsiderations"] = "declared; the time of training is observed"
    basis |= {f"sluice:hyperparameter:{name}": json.dumps(value) for name, value in sorted(hyper.items())}
    return found | {"properties": _properties(basis)}


_DECLARED = ("approach", "task", "architectureFamily", "modelArchitecture", "inputs", "outputs")


def parts(found: Mapping[str, Any]) -> list[str]:
    """The parts of a model card that say something, each with a basis."""
    return [
        f"{top}.{part}"
        for top in ("modelParameters", "quantitativeAnalysis", "considerations")
        for part in found.get(top) or ()
    ]


def _data(name: str, sha: str, declared: "Card") -> dict[str, Any]:
    owner = {"owners": [{"organization": {"name": declared.data.owner}}]}
    said = {"classification": declared.data.classification, "sensitiveData": declared.data.sensitiveData}
    data = {"type": "dataset", "name": name, **said, "governance": owner}
    return {
        "type": "data",
        "bom-ref": f"data:{name}",
        "name": name,
        "version": sha,
        "hashes": _hash(sha),
        "data": [data],
    }


def _hash(sha: str) -> list[dict[str, str]]:
    return [{"alg": "SHA-256", "content": sha}]


def _properties(told: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"name": name, "value": value} for name, value in sorted(told.items())]


def read(body: bytes) -> dict[str, Any]:
    """A model's bill; `LogBroken` where it is none, or in another spelling."""
    try:
        told: dict[str, Any] = json.loads(body)
        if (told["bomFormat"], told["specVersion"]) != ("CycloneDX", "1.6") or canonical(told) != body:
            raise ValueError
        if told["metadata"]["component"]["type"] != "machine-learning-model":
            raise ValueError
    except (ValueError, KeyError, TypeError, RecursionError) as why:
        raise LogBroken(f"not a model's bill of materials in CycloneDX 1.6 ({type(why).__name__})") from None
    return told


def check(body: bytes, files: Mapping[str, bytes], claim: Claim) -> dict[str, Any]:
    """The bill, held against the model's statement and its files; `LogBroken` where they differ."""
    told = read(body)
    try:
        about, said = told["metadata"]["component"], facts(told)
        listed = sorted(
            (str(each["type"]), str(each["name"]), _only(each)) for each in told["components"] if "hashes" in each
        )
    except (KeyError, TypeError, ValueError) as why:
        raise LogBroken(f"a model's bill of materials that cannot be read ({type(why).__name__})") from None
    wanted = {f"sluice:{name}": getattr(claim, name) for name in ("run", "data", "code", "lock", "plan", "release")}
    same = (about.get("name"), about.get("version")) == (claim.name, str(claim.version))
    if not same or wanted.items() - said.items() or "sluice:declared" not in said:
        raise LogBroken("the bill of materials is of another model than its statement")
    files_of = [("file", name, sha) for name, sha in shas(files).items()]
    if listed != sorted([*files_of, *(("data", name, sha) for name, sha in claim.datasets.items())]):
        raise LogBroken("the bill of materials lists other files or datasets than the model's statement")
    return told


def facts(told: Mapping[str, Any]) -> dict[str, str]:
    """What a bill says of the model in our own words: name of a property -> its value."""
    return {str(each["name"]): str(each["value"]) for each in told["metadata"]["component"]["properties"]}


def metrics(told: Mapping[str, Any]) -> list[dict[str, str]]:
    """The figures of a bill, each with its type, value and slice, as far as they are there."""
    try:
        listed = told["metadata"]["component"]["modelCard"]["quantitativeAnalysis"]["performanceMetrics"]
        return [{name: str(each.get(name, "")) for name in ("type", "value", "slice")} for each in listed]
    except (KeyError, TypeError, AttributeError):
        return []


def _only(component: Mapping[str, Any]) -> str:
    ((alg, sha),) = ((each["alg"], each["content"]) for each in component["hashes"])
    if alg != "SHA-256":
        raise ValueError
    return str(sha)
