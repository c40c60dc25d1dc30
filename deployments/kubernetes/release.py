"""The manifests of a release, sorted by what a rollout does with them: all of them are read before anything is done."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from deployments.kubernetes import kinds
from security.errors import BadInput, CannotTell
from security.manifests import Item, documents, parse

NAME, COMPONENT, RELEASE = "app.kubernetes.io/name", "app.kubernetes.io/component", "sluice/release"
MODEL, PATH = "sluice/model", "sluice/path"
OWN = frozenset({"Deployment", "Service", "Job"})
"""Of these each release has its own; what else there is, releases share."""
SHARED = frozenset({"Namespace", "ServiceAccount", "ConfigMap", "NetworkPolicy", "PodDisruptionBudget"})
Told = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Release:
    """What is told of one release. `shared`: objects that releases have in common, in the order of the files;
    `deployment` and `candidate`: what runs, and the name for it alone; `jobs`: the two that ask it before it serves;
    `public`: the name that callers know; `smoke`: the job that asks by that name."""

    name: str
    release: str
    namespace: Told
    shared: tuple[Told, ...]
    deployment: Told
    candidate: Told
    jobs: tuple[Told, ...]
    public: Told
    smoke: Told

    @property
    def where(self) -> str:
        """The namespace's name."""
        return str(self.namespace["metadata"]["name"])

    @property
    def own(self) -> str:
        """What is called so is of this release alone."""
        return f"{self.name}-{self.release}"

    @property
    def model(self) -> str:
        """The digest of the model that it is to run."""
        return str(self.deployment["metadata"].get("annotations", {}).get(MODEL, ""))

    @property
    def every(self) -> tuple[Told, ...]:
        """All objects, in the order in which they are applied; the namespace is first, and who leads callers last."""
        return (self.namespace, *self.shared, self.deployment, self.candidate, *self.jobs, self.public, self.smoke)


def read(manifests: Sequence[Item]) -> Release:
    """The release. `BadInput` names the file that is no manifest, or what is missing or more than a release has."""
    told: list[Told] = []
    for name, data in manifests:
        try:
            for where, each in documents([(name, data)]):
                parse(where, each)
                told.append(each)
        except CannotTell as why:
            raise BadInput(name, "manifest", str(why), "what a cluster reads") from None
    if not told:
        raise BadInput("manifests", "files", "none", "those of one release")
    if twice := [key for key, count in Counter(map(kinds.place, told)).items() if count > 1]:
        raise BadInput("manifests", twice[0], "it twice", "each object once")
    return _sorted(told)


def _sorted(told: list[Told]) -> Release:
    deployments = [each for each in told if each["kind"] == "Deployment"]
    if len(deployments) != 1:
        raise BadInput("manifests", "Deployment", f"{len(deployments)}", "one")
    labels = deployments[0]["metadata"].get("labels", {})
    name, release = str(labels.get(NAME, "")), str(labels.get(RELEASE, ""))
    if not name or not release or deployments[0]["metadata"]["name"] != f"{name}-{release}":
        raise BadInput("manifests", "Deployment", "another name than its labels give it", f"{NAME}-{RELEASE}")
    known = {kinds.place(each): each for each in told}
    namespaces = [each for each in told if each["kind"] == "Namespace"]
    places = {each["metadata"].get("namespace") for each in told if each["kind"] != "Namespace"}
    if len(namespaces) != 1 or places != {namespaces[0]["metadata"]["name"]}:
        found = f"{len(namespaces)} of them, and objects in {len(places)}"
        raise BadInput("manifests", "Namespace", found, "one, with all objects in it")
    own = f"{name}-{release}"
    wanted = [f"Service/{own}", f"Job/{own}-probe", f"Job/{own}-stranger", f"Service/{name}", f"Job/{own}-smoke"]
    if lost := [each for each in wanted if each not in known]:
        raise BadInput("manifests", lost[0], "nothing", "it, beside the others of a release")
    allowed = (*wanted, f"Deployment/{own}")
    if strange := [key for key in known if key.split("/")[0] not in SHARED and key not in allowed]:
        raise BadInput("manifests", strange[0], "an object that no release has", ", ".join(wanted))
    for each in (f"Service/{own}", f"Service/{name}"):
        if known[each]["spec"].get("selector", {}).get(RELEASE) != release:
            raise BadInput("manifests", f"{each}, selector", f"another {RELEASE}", release)
    candidate, probe, stranger, public, smoke = (known[each] for each in wanted)
    shared = tuple(each for each in told if each["kind"] in SHARED - {"Namespace"})
    return Release(name, release, namespaces[0], shared, deployments[0], candidate, (probe, stranger), public, smoke)


def items(told: Sequence[Told]) -> list[Item]:
    """Objects as the gates over manifests are handed them, a file for each."""
    return [(f"{kinds.place(each).replace('/', '-').lower()}.json", json.dumps(each).encode()) for each in told]
