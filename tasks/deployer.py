"""Opens a cluster for the gate over who deploys there: what is to run by the manifests, and what the server answers.

The target `local` is a process of this machine: nobody is asked there, and the snapshot says so. Everywhere else the
kubeconfig that the policy names says which server is asked, by which CA it is believed, and as whom.
"""

import hashlib
import os
import secrets
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from security.access import RESOURCES
from security.engines.reviews import Target, process, reviews, who
from security.errors import BadInput, CannotTell, KeyBroken, PlanError
from security.gates.deployer import Limits
from security.gates.deployer import who as named
from security.manifests import Item, Workload, documents, parse
from security.verdict import Snapshot
from tasks.store import files


class Connection(Protocol):
    """A server that is spoken to as whoever deploys."""

    @property
    def server(self) -> str:
        """Its address, as the kubeconfig has it."""

    @property
    def authority(self) -> str:
        """The certificates (PEM) by which alone it is believed."""

    def ask(self, method: str, path: str, body: Mapping[str, Any] | None) -> tuple[int, Any]:
        """The status and the JSON of an answer, None where it is none; `CannotTell` where there is no answer."""

    def tells(self, text: str) -> bool:
        """Whether a text has the credentials."""


Connect = Callable[[Path], AbstractContextManager[Connection]]
"""From a kubeconfig to the server that it names. `CannotTell` for one that is not understood."""


def opened(folder: Path, limits: Mapping[str, Any], connect: Connect) -> Snapshot:
    """What there is to tell of a release, whose manifests lie in a folder, and of who deploys it."""
    told = Limits.model_validate(dict(limits))
    namespace, images = released((path.name, path.read_bytes()) for path in files(folder))
    if told.target == "local":
        return process(images)
    with connect(kubeconfig(told.credentials)) as of:
        target = Target(of.server.rstrip("/"), believed(of.authority), namespace)
        return reviews(of.ask, target, images, secrets.token_hex(16), told.others, of.tells)


def kept(of: Connection, limits: Mapping[str, Any]) -> None:
    """`PlanError` unless this is the server that the policy names, believed by its CA, and knows whoever asks as the
    policy's deployer, in no group more. Whoever rolls out asks so: by then a kubeconfig may be another than the gate
    was shown."""
    told = Limits.model_validate(dict(limits))
    if not told.server or of.server.rstrip("/") != told.server or believed(of.authority) != (told.ca,):
        raise PlanError("the server, or the CA by which it is believed, is not the one that the gate has asked")
    seen = who(of.ask)
    for wrong in named(seen["user"], seen["groups"], told):
        raise PlanError(f"the server knows whoever rolls out as another than the policy's deployer: {wrong.message}")


def released(items: Iterable[Item]) -> tuple[str, dict[str, str]]:
    """The namespace of a release, and container -> image, by its manifests. `CannotTell` for manifests of another
    namespace beside it, or of a kind that no rollout applies."""
    spaces: set[str] = set()
    images: dict[str, str] = {}
    for where, told in documents(items):
        each = parse(where, told)
        if each.kind not in RESOURCES:
            raise CannotTell(f"{where}: a {each.kind}, which no rollout applies; allowed: {', '.join(RESOURCES)}")
        spaces.add(each.namespace if each.namespaced else each.metadata.name)
        if isinstance(each, Workload):
            images |= {f"{each.place}, {place}": box.image for place, box in each.pod.every}
    if len(spaces) != 1:
        raise BadInput("manifests", "namespace", ", ".join(sorted(spaces)) or "none", "one, in which all of it lies")
    return spaces.pop(), images


def kubeconfig(reference: str) -> Path:
    """The file that a policy names, or the variable that it names does; `KeyBroken` where there is none."""
    kind, _, where = reference.partition(":")
    named = os.environ.get(where, "") if kind == "env" else where
    if not named or os.pathsep in named or not Path(named).is_file():
        raise KeyBroken(f"{reference}: found no kubeconfig; allowed: one file")
    return Path(named)


def believed(authority: str) -> tuple[str, ...]:
    """SHA-256 of each certificate (DER) of a CA's file, in order; `BadInput` for what is none."""
    try:
        found = x509.load_pem_x509_certificates(authority.encode())
    except ValueError:
        raise BadInput("kubeconfig", "certificate-authority", "what is no certificate", "PEM") from None
    return tuple(sorted(hashlib.sha256(each.public_bytes(Encoding.DER)).hexdigest() for each in found))
