"""Whether a model card is complete: what a bill of materials lacks of what people, and a rule, want to know.

The published schema makes every field of a model card optional, so that an empty one is valid; this is the other half.
"""

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from configs.card import EMPTY
from security.errors import CannotTell, LogBroken
from security.models.bill import BASIS, parts, read
from security.verdict import canonical

PARTS = (
    "modelParameters.approach.type",
    "modelParameters.task",
    "modelParameters.architectureFamily",
    "modelParameters.modelArchitecture",
    "modelParameters.datasets[].ref",
    "modelParameters.inputs[].format",
    "modelParameters.outputs[].format",
    "quantitativeAnalysis.performanceMetrics[].type",
    "quantitativeAnalysis.performanceMetrics[].value",
    "quantitativeAnalysis.performanceMetrics[].slice",
    "considerations.users[]",
    "considerations.useCases[]",
    "considerations.technicalLimitations[]",
    "considerations.performanceTradeoffs[]",
    "considerations.ethicalConsiderations[].name",
    "considerations.ethicalConsiderations[].mitigationStrategy",
    "considerations.environmentalConsiderations.properties[].name",
    "considerations.environmentalConsiderations.properties[].value",
    "considerations.fairnessAssessments[].groupAtRisk",
    "considerations.fairnessAssessments[].benefits",
    "considerations.fairnessAssessments[].harms",
    "considerations.fairnessAssessments[].mitigationStrategy",
)
"""What a complete model card says."""
DATA = (
    "hashes[].content",
    "data[].classification",
    "data[].sensitiveData[]",
    "data[].governance.owners[].organization.name",
)
"""What it says of each dataset."""
ABOUT = ("name", "version", "description", "supplier.name", "licenses[].license.id", "hashes[].content")
"""What it says of the model as a component."""


def invalid(body: bytes) -> str:
    """Why the published schema (CycloneDX 1.6, strict) refuses a bill; empty where it does not. `CannotTell` where
    there is nothing to hold it against."""
    from cyclonedx.exception import MissingOptionalDependencyException
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator

    try:
        why = JsonStrictValidator(SchemaVersion.V1_6).validate_str(canonical(read(body)).decode())
    except MissingOptionalDependencyException:
        raise CannotTell("the published schema cannot be held against a bill: jsonschema is not installed") from None
    return "" if why is None else str(getattr(why.data, "message", why.data))[:200]


def missing(body: bytes) -> list[str]:
    """What a complete model card lacks in this bill, as the places of what is not said; empty where it is complete.

    Text that says nothing (`TODO`, `n/a`, ...) is not said; a figure is a finite number; each part must say its basis;
    a dataset that the card names must be among the components.
    """
    try:
        return sorted({*_lacks(read(body))})
    except (TypeError, AttributeError, KeyError) as why:
        raise LogBroken(f"a model's bill of materials that cannot be read ({type(why).__name__})") from None


def _lacks(bill: Mapping[str, Any]) -> list[str]:
    about = bill["metadata"]["component"]
    told = about.get("modelCard") if isinstance(about.get("modelCard"), dict) else {}
    lacks = [f"component.{place}" for place in _unsaid(about, ABOUT)] + list(_unsaid(told, PARTS))
    components = {each.get("bom-ref"): each for each in bill.get("components", []) if isinstance(each, dict)}
    for _, ref in _values(told, "modelParameters.datasets[].ref"):
        lacks += [f"{ref}.{place}" for place in _unsaid(components.get(ref, {}), DATA)] if isinstance(ref, str) else []
    for number, (_, value) in enumerate(_values(told, "quantitativeAnalysis.performanceMetrics[].value")):
        if value is not None and not _finite(value):
            lacks.append(f"quantitativeAnalysis.performanceMetrics[{number}].value")
    basis = {each["name"]: str(each["value"]).partition(";")[0] for each in told.get("properties") or ()}
    return lacks + [BASIS + part for part in parts(told) if basis.get(BASIS + part) not in ("observed", "declared")]


def _finite(value: Any) -> bool:
    try:
        return isinstance(value, str) and math.isfinite(float(value))
    except ValueError:
        return False


def _unsaid(told: Any, parts: Iterable[str]) -> Iterator[str]:
    for part in parts:
        for place, value in _values(told, part):
            if not isinstance(value, str) or value.strip(" .-").casefold() in EMPTY:
                yield place


def _values(told: Any, path: str) -> Iterator[tuple[str, Any]]:
    """Place and value of everything at a path; None where there is nothing, also for a list that is empty."""
    name, _, rest = path.partition(".")
    inner = told.get(name.removesuffix("[]")) if isinstance(told, dict) else None
    if not name.endswith("[]"):
        found = [(name, inner)]
    elif isinstance(inner, list) and inner:
        found = [(f"{name[:-1]}{number}]", each) for number, each in enumerate(inner)]
    else:
        yield path, None
        return
    for place, each in found:
        if rest:
            yield from ((f"{place}.{below}", value) for below, value in _values(each, rest))
        else:
            yield place, each
