"""Strict readers of documents and policies. Names of checks, metrics and rules are text here: the plan knows them.

A document says what the pipeline is; a policy says how each check is judged for one target. Whatever is not declared
below is an error that names the file, the key, and the nearest key that there is.
"""

import json
from typing import Any, Literal, TypeVar, cast, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from configs.files import BARE, KINDS, OFFERED, ROOT, ConfigError, find, nearest, offer, sha256, text

__all__ = [
    "BARE",
    "CONTRACT",
    "GROUPS",
    "KINDS",
    "OFFERED",
    "ROOT",
    "SHORT",
    "STAGES",
    "TARGETS",
    "ConfigError",
    "Document",
    "Policy",
    "Strict",
    "Target",
    "Terms",
    "document",
    "find",
    "matrix",
    "nearest",
    "offer",
    "parse",
    "policy",
    "sha256",
    "text",
]

STAGES = ("data_ingestion", "feature_engineering", "model_training", "model_evaluation", "model_deployment")
SHORT = dict(zip(STAGES, ("ingest", "features", "train", "evaluate", "deploy"), strict=True))
"""The document's name of a stage -> its flow's."""
GROUPS = {"activity": "behavioural", "tenure": "behavioural"}
"""What a document that does not say it groups users by, to hold their lists against each other's."""
CONTRACT = "interactions"
"""The data contract of a document that names none."""
Target = Literal["local", "kubernetes_test", "kubernetes_prod"]
TARGETS = get_args(Target)
"""From the nearest to the furthest."""


class Strict(BaseModel):
    """A record of a configuration file: no unknown keys, no coercion."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class Stage(Strict):
    """What every stage of a document says."""

    name: str
    description: str
    dependencies: list[str] = []
    security_checks: list[str] = Field(min_length=1)


class Ingestion(Stage):
    """Where the rows come from. `source` is an S3 URI; the date in it is a template for the run's partition."""

    name: Literal["data_ingestion"]
    source: str = Field(pattern=r"^s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]/(.+/)?\d{4}-\d{2}(-\d{2})?/$")
    transformations: list[str]
    contract: str = Field(default=CONTRACT, pattern=r"^[a-z0-9_]+$")
    """The data contract that the rows keep, by name."""


class Features(Stage):
    """Which columns go on; everything else is left behind."""

    name: Literal["feature_engineering"]
    features: list[str] = Field(min_length=1)


class Hyperparameters(Strict):
    """Of the training run. `epochs` bounds it; early stopping may end it before. Of `width`, that of the hidden layer,
    three quarters are the closed form's, the others are trained."""

    learning_rate: float = Field(gt=0, le=1)
    batch_size: int = Field(ge=1, le=65_536)
    width: int = Field(default=400, ge=2, le=2_048)
    epochs: int = Field(default=150, ge=1, le=10_000)
    seed: int = Field(default=7, ge=0)


class Training(Stage):
    """What is trained."""

    name: Literal["model_training"]
    framework: str
    hyperparameters: Hyperparameters


class Evaluation(Stage):
    """How it is measured, and the least that it must reach: metric -> lowest allowed value. `groups`: what users are
    grouped by -> what that is; behavioural is what was seen of them, declared what a column of the contract says.
    `item_groups`: the same of items, which popularity groups anyway."""

    name: Literal["model_evaluation"]
    metrics: list[str] = Field(min_length=1)
    thresholds: dict[str, float] = Field(min_length=1)
    groups: dict[str, Literal["behavioural", "declared"]] = Field(default=cast(Any, GROUPS), min_length=1)
    item_groups: dict[str, Literal["declared"]] = Field(default={}, max_length=8)


class Deployment(Stage):
    """Where it goes at the furthest, and the path that it answers on."""

    name: Literal["model_deployment"]
    target_environment: Target
    inference_endpoint: str = Field(pattern=r"^/[a-z0-9/_-]+$")


class Document(Strict):
    """A pipeline: five stages in their order."""

    pipeline_name: str = Field(pattern=r"^[a-z0-9]+(__?[a-z0-9]+)*$")
    """Also the name of its model in a registry."""
    stages: tuple[Ingestion, Features, Training, Evaluation, Deployment]


class Terms(Strict):
    """How one check is judged. `accepts` lowers a rule's basis; `observe` names causes of inconclusive, never a rule
    that can find something, never the whole gate; `enforce` names advisory rules whose breach stops the run; `waive`
    rules of which an approver may let a finding go."""

    limits: dict[str, Any] = {}
    accepts: dict[str, str] = {}
    observe: list[str] = []
    enforce: list[str] = []
    waive: list[str] = []


class Persons(Strict):
    """Who may approve: id of a person's public key -> name."""

    approvers: dict[str, str] = Field(min_length=1)

    @field_validator("approvers")
    @classmethod
    def _known(cls, value: dict[str, str]) -> dict[str, str]:
        for id, name in value.items():
            if len(id) != 64 or set(id) - set("0123456789abcdef") or not name.strip():
                raise ValueError(f"{id}: the id of a key has 64 hexadecimal digits, and belongs to a name")
        return value


class Approval(Persons):
    """Who may let a finding go, and for how long: the most days of a waiver."""

    days: float = Field(gt=0, le=366)


class Policy(Strict):
    """How each check is judged for one target."""

    name: str = Field(pattern=r"^[a-z0-9_]+$")
    target: Target
    unsigned: Literal["refuse", "UnsafeUnsignedPolicy"] = "refuse"
    keys: Literal["isolated", "UnsafeLocalKeys"] = "isolated"
    code: list[str] | Literal["UnsafeAnyCode"]
    store: Literal["conditional", "UnsafeStore"] = "conditional"
    documents: dict[str, str] = Field(min_length=1)
    contracts: dict[str, str] = Field(min_length=1)
    gates: dict[str, Terms] = Field(min_length=1)
    waivers: Approval | None = None
    models: Persons | None = None
    """Who besides the verifier may approve a model; nobody where it is left out."""

    @field_validator("documents", "contracts")
    @classmethod
    def _digests(cls, value: dict[str, str]) -> dict[str, str]:
        for name, sha in value.items():
            if len(sha) != 64 or set(sha) - set("0123456789abcdef"):
                raise ValueError(f"{name}: a SHA-256 has 64 hexadecimal digits")
        return value


R = TypeVar("R", bound=BaseModel)


def _keys(model: type[BaseModel]) -> set[str]:
    names = set(model.model_fields)
    for field in model.model_fields.values():
        for part in (field.annotation, *get_args(field.annotation)):
            if isinstance(part, type) and issubclass(part, BaseModel):
                names |= _keys(part)
    return names


def _explain(why: ValidationError, model: type[BaseModel]) -> str:
    first = why.errors(include_url=False)[0]
    place = ".".join(str(part) for part in first["loc"]) or "top level"
    if first["type"] == "extra_forbidden":
        key = str(first["loc"][-1])
        return f"{place}: unknown key {key!r}{nearest(key, _keys(model))}"
    if first["type"] == "missing":
        return f"{place}: missing"
    return f"{place}: {first['msg']}"


def parse(data: Any, model: type[R], name: str) -> R:
    """A record from what a file holds, or a `ConfigError` that names file and key."""
    if model is Document and isinstance(data, dict) and data.get("waivers"):
        raise ConfigError(f"{name}: waivers: are a policy's to allow; a document that names one is refused")
    try:
        return model.model_validate_json(json.dumps(data, default=str))
    except ValidationError as why:
        raise ConfigError(f"{name}: {_explain(why, model)}") from None


def document(data: Any, name: str = "document") -> Document:
    """A document from what a file holds. Stages in their order, each depending on the one before."""
    listed = data.get("stages") if isinstance(data, dict) else None
    given_stages = listed if isinstance(listed, list) else []
    names = [stage.get("name") if isinstance(stage, dict) else stage for stage in given_stages]
    for given in names:
        if given not in STAGES:
            raise ConfigError(f"{name}: stages: unknown stage {given!r}{nearest(str(given), STAGES)}")
    if names != list(STAGES):
        raise ConfigError(
            f"{name}: stages: found {', '.join(map(str, names)) or 'none'}; allowed: {', '.join(STAGES)}, in this order"
        )
    found = parse(data, Document, name)
    for stage, before in zip(found.stages, (None, *STAGES), strict=False):
        for dependency in stage.dependencies:
            if dependency not in STAGES:
                raise ConfigError(f"{name}: {stage.name}: no stage {dependency!r}{nearest(dependency, STAGES)}")
        if stage.dependencies != ([before] if before else []):
            raise ConfigError(
                f"{name}: {stage.name}: depends on {stage.dependencies}; allowed: {[before] if before else []}"
            )
    return found


def policy(data: Any, name: str = "policy") -> Policy:
    """A policy from what a file holds."""
    return parse(data, Policy, name)


def matrix() -> dict[str, dict[str, dict[str, list[str]]]]:
    """Stage -> task -> `before` and `after` -> gates: what every run must show, held against the code by a test."""
    return cast(dict[str, dict[str, dict[str, list[str]]]], text(ROOT / "matrix.yaml"))
