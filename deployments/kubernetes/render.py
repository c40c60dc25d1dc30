"""From a few values to manifests: the same values, the same bytes.

A file of `manifests/` is read as YAML first and filled in afterwards, value by value, so that no value can become
structure. Every `${name}` must be known, and every value used.
"""

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import BaseModel, ConfigDict, Field

HERE = Path(__file__).parent / "manifests"
FILES = (
    "namespace.yaml",
    "account.yaml",
    "trust.yaml",
    "network.yaml",
    "budget.yaml",
    "deployment.yaml",
    "candidate.yaml",
    "probe.yaml",
    "stranger.yaml",
    "service.yaml",
    "smoke.yaml",
)
"""In the order in which they are applied: policies are there before what they hold back, and who is led to a release is
last."""
_PLACE = re.compile(r"\$\{([a-z]+)\}")
_NUMBER = re.compile(r"[-+.]?[0-9].*|[yYnN]", re.DOTALL)
"""Text that some reader of YAML takes for something else, and that PyYAML does not quote by itself (`12e4`)."""
Name = Annotated[str, Field(max_length=63, pattern=r"^[a-z]([a-z0-9-]*[a-z0-9])?$")]
Pem = Annotated[str, Field(pattern=r"^-----BEGIN PUBLIC KEY-----\n")]
Pipeline = Annotated[str, Field(max_length=41, pattern=r"^[a-z]([a-z0-9_]*[a-z0-9])?$")]
"""Short enough that what is put behind it is a name still."""


class RenderError(Exception):
    """A file that cannot be filled in, in one sentence."""


class Values(BaseModel):
    """What differs between deployments.

    `pipeline`: the document's name; objects are called the same, with `-` for `_`.
    `image`: by digest, or None where none was built: the manifests then name none, and no cluster takes them. `model`:
    the release's digest; `policy`: that of the policy by which it was judged; `path`: where recommendations are served;
    `issuer`, `audience` and `tenant` of tokens; `target`: where it is to serve, as leases have it; `key`, `verifier`
    and `jwks`: the public keys of who signs releases, of who lets them serve (PEM), and of who issues tokens (JWK set).
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    pipeline: Pipeline
    namespace: Name
    image: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9.:/_-]*@sha256:[0-9a-f]{64}$")] | None
    model: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    policy: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    path: Annotated[str, Field(pattern=r"^/[A-Za-z0-9/_.-]+$")]
    replicas: Annotated[int, Field(ge=2, le=100)] = 2
    issuer: Annotated[str, Field(pattern=r"^[!-~]+$")]
    audience: Annotated[str, Field(pattern=r"^[!-~]+$")]
    tenant: Annotated[str, Field(pattern=r"^[!-~]+$")]
    target: Annotated[str, Field(max_length=63, pattern=r"^[a-z][a-z0-9_]*$")]
    key: Pem
    verifier: Pem
    jwks: Annotated[str, Field(pattern=r"^\{")]


_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""That of libyaml, where it is there: it reads what Python's own reads, ten times as fast."""


class _Dumper(yaml.SafeDumper):
    """Writes no alias: each part of a document is said where it stands."""

    def ignore_aliases(self, data: Any) -> bool:
        """Always."""
        return True


def _text(dumper: yaml.SafeDumper, told: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", told, style='"' if _NUMBER.fullmatch(told) else None)


_Dumper.add_representer(str, _text)


def release(values: Values) -> str:
    """What a release is called: 12 hex digits of a SHA-256 over all that is told of it but its name. Whatever of this
    is another, is another release, which takes no other's place."""
    told = _files(values, "")
    return hashlib.sha256(b"".join(hashlib.sha256(data).digest() for _, data in told)).hexdigest()[:12]


def render(values: Values) -> list[tuple[str, bytes]]:
    """Name and bytes of each file. `RenderError` for a placeholder that has no value, and a value without one."""
    return _files(values, release(values))


def _files(values: Values, called: str) -> list[tuple[str, bytes]]:
    trust = hashlib.sha256(f"{values.key}\0{values.verifier}\0{values.jwks}".encode()).hexdigest()[:10]
    name, image = values.pipeline.replace("_", "-"), values.image or ""
    given = {**values.model_dump(), "image": image, "name": name, "trust": f"{name}-{trust}", "release": called}
    used: set[str] = set()
    made = [(file, _file(file, given, used)) for file in FILES]
    if unused := sorted(given.keys() - used):
        raise RenderError(f"no manifest says ${{{unused[0]}}}")
    return made


def _file(file: str, given: dict[str, Any], used: set[str]) -> bytes:
    told = list(yaml.load_all((HERE / file).read_bytes(), _Loader))  # noqa: S506 - a safe one
    filled = [_filled(file, each, given, used) for each in told]
    return yaml.dump_all(filled, Dumper=_Dumper, sort_keys=False, width=1 << 20).encode()


def _filled(file: str, told: Any, given: dict[str, Any], used: set[str]) -> Any:
    if isinstance(told, dict):
        return {key: _filled(file, each, given, used) for key, each in told.items()}
    if isinstance(told, list):
        return [_filled(file, each, given, used) for each in told]
    if not isinstance(told, str):
        return told
    places = list(_places(file, told, given))
    used.update(places)
    if _PLACE.fullmatch(told):
        return given[places[0]]
    return _PLACE.sub(lambda match: str(given[match[1]]), told)


def _places(file: str, told: str, given: dict[str, Any]) -> Iterator[str]:
    for place in _PLACE.findall(told):
        if place not in given:
            raise RenderError(f"{file}: ${{{place}}} is not known; there are {', '.join(sorted(given))}")
        yield place
    if "${" in _PLACE.sub("", told):
        raise RenderError(f"{file}: a placeholder that is not spelled ${{name}}")
