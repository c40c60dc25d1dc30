"""Strict readers of documents and policies. Names of checks, metrics and rules are text here: the plan knows them.

A document says what the pipeline is; a policy says how each check is judged for one target. Whatever is not declared
below is an error that names the file, the key, and the nearest key that there is.
"""

import difflib
import hashlib
import json
import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal, TypeVar, cast, get_args

import rfc8785
import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

ROOT = Path(__file__).parent
BARE = re.compile(r"[a-z0-9_]+")
STAGES = ("data_ingestion", "feature_engineering", "model_training", "model_evaluation", "model_deployment")
SHORT = dict(zip(STAGES, ("ingest", "features", "train", "evaluate", "deploy"), strict=True))
"""The document's name of a stage -> its flow's."""
Target = Literal["local", "kubernetes_test", "kubernetes_prod"]
TARGETS = get_args(Target)
"""From the nearest to the furthest."""


class ConfigError(Exception):
    """A document or policy that cannot be used, in one sentence with file and key."""


def nearest(name: str, known: Iterable[str]) -> str:
    """` (nearest: x)` for a name that is not known, or nothing where none is near."""
    near = difflib.get_close_matches(name, sorted(known), n=1, cutoff=0.5)
    return f" (nearest: {near[0]})" if near else ""


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


class Features(Stage):
    """Which columns go on; everything else is left behind."""

    name: Literal["feature_engineering"]
    features: list[str] = Field(min_length=1)


class Hyperparameters(Strict):
    """Of the training run. `epochs` bounds it; early stopping may end it before."""

    learning_rate: float = Field(gt=0, le=1)
    batch_size: int = Field(ge=1, le=65_536)
    width: int = Field(default=200, ge=2, le=2_048)
    epochs: int = Field(default=150, ge=1, le=10_000)
    seed: int = Field(default=7, ge=0)


class Training(Stage):
    """What is trained."""

    name: Literal["model_training"]
    framework: str
    hyperparameters: Hyperparameters


class Evaluation(Stage):
    """How it is measured, and the least that it must reach: metric -> lowest allowed value."""

    name: Literal["model_evaluation"]
    metrics: list[str] = Field(min_length=1)
    thresholds: dict[str, float] = Field(min_length=1)


class Deployment(Stage):
    """Where it goes at the furthest, and the path that it answers on."""

    name: Literal["model_deployment"]
    target_environment: Target
    inference_endpoint: str = Field(pattern=r"^/[a-z0-9/_-]+$")


class Document(Strict):
    """A pipeline: five stages in their order."""

    pipeline_name: str = Field(pattern=r"^[a-z0-9_]+$")
    stages: tuple[Ingestion, Features, Training, Evaluation, Deployment]


class Terms(Strict):
    """How one check is judged. `accepts` lowers a rule's basis; `observe` names causes of inconclusive, never a rule
    that can find something, never the whole gate; `enforce` names advisory rules whose breach stops the run."""

    limits: dict[str, Any] = {}
    accepts: dict[str, str] = {}
    observe: list[str] = []
    enforce: list[str] = []


class Policy(Strict):
    """How each check is judged for one target."""

    name: str = Field(pattern=r"^[a-z0-9_]+$")
    target: Target
    unsigned: Literal["refuse", "UnsafeUnsignedPolicy"] = "refuse"
    keys: Literal["isolated", "UnsafeLocalKeys"] = "isolated"
    code: list[str] | Literal["UnsafeAnyCode"]
    store: Literal["conditional", "UnsafeStore"] = "conditional"
    documents: dict[str, str] = Field(min_length=1)
    gates: dict[str, Terms] = Field(min_length=1)

    @field_validator("documents")
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


def _parse(data: Any, model: type[R], name: str) -> R:
    if isinstance(data, dict) and data.get("waivers"):
        raise ConfigError(f"{name}: waivers: this version has none; a policy that names one is refused")
    try:
        return model.model_validate_json(json.dumps(data, default=str))
    except ValidationError as why:
        raise ConfigError(f"{name}: {_explain(why, model)}") from None


class _Once(yaml.SafeLoader):
    """YAML in which a key that is given twice is an error."""


def _mapping(loader: _Once, node: yaml.MappingNode) -> dict[Any, Any]:
    pairs = [(loader.construct_object(key), loader.construct_object(value, deep=True)) for key, value in node.value]
    seen: set[Any] = set()
    for key, _ in pairs:
        if not isinstance(key, str):
            raise yaml.YAMLError(f"line {node.start_mark.line + 1}: a key that is not text")
        if key in seen:
            raise yaml.YAMLError(f"line {node.start_mark.line + 1}: key {key!r} is given twice")
        seen.add(key)
    return dict(pairs)


_Once.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    keys = [key for key, _ in pairs]
    for key in keys:
        if keys.count(key) > 1:
            raise ValueError(f"key {key!r} is given twice")
    return dict(pairs)


def _loaded(data: str, suffix: str) -> Any:
    if suffix == ".json":
        return json.loads(data, object_pairs_hook=_unique)
    return yaml.load(data, _Once)  # noqa: S506 - a safe loader that also refuses doubled keys


def text(path: Path) -> Any:
    """The data in a JSON or YAML file, by its ending. `ConfigError` names what is wrong."""
    try:
        data = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as why:
        raise ConfigError(f"{path.name}: cannot be read ({type(why).__name__})") from None
    try:
        told = _loaded(data, path.suffix)
        sha256(told)  # what has no canonical JSON has no digest: a number that is none, a date that is not text
    except (ValueError, RecursionError, yaml.YAMLError) as why:
        raise ConfigError(f"{path.name}: {' '.join(str(why).split())}") from None
    return told


def sha256(data: Any) -> str:
    """SHA-256 of the canonical JSON (RFC 8785) of what a file holds: spacing and order do not count."""
    return hashlib.sha256(rfc8785.dumps(data)).hexdigest()


OFFERED: dict[str, Path] = {}
"""File name -> file, of documents and policies given to this process by path: a command line's, never a flow's."""


def offer(path: Path) -> str:
    """Make a file known in this process by its name alone; that name."""
    if not BARE.fullmatch(path.stem) or not path.is_file():
        raise ConfigError(f"{path.name}: no such file, or a name of other than small letters, digits and _")
    if any((ROOT / folder / path.name).is_file() for folder in ("pipelines", "policies")):
        raise ConfigError(f"{path.name}: is the name of a shipped file; give yours another")
    OFFERED[path.name] = path
    return path.stem


def find(name: str, folder: Literal["pipelines", "policies"], *, paths: bool = True) -> Path:
    """A document or policy by its name: a shipped one, one that was offered, or one of the folder `SLUICE_CONFIGS`.

    With `paths`, what is not a bare name is the path of a file. A bare name is never a file of the working folder.
    """
    suffix = ".json" if folder == "pipelines" else ".yaml"
    own = os.environ.get("SLUICE_CONFIGS")
    if BARE.fullmatch(name):
        places = [
            ROOT / folder / f"{name}{suffix}",
            OFFERED.get(f"{name}{suffix}"),
            Path(own, f"{name}{suffix}") if own else None,
        ]
        for place in places:
            if place and place.is_file():
                return place
    elif paths and Path(name).is_file():
        return Path(name)
    shipped = sorted(path.stem for path in (ROOT / folder).glob(f"*{suffix}"))
    what = "document" if folder == "pipelines" else "policy"
    raise ConfigError(f"no {what} {name!r}{nearest(name, shipped)}; there are {', '.join(shipped)}")


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
    found = _parse(data, Document, name)
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
    return _parse(data, Policy, name)


def matrix() -> dict[str, dict[str, dict[str, list[str]]]]:
    """Stage -> task -> `before` and `after` -> gates: what every run must show, held against the code by a test."""
    return cast(dict[str, dict[str, dict[str, list[str]]]], text(ROOT / "matrix.yaml"))
