"""Known-bad targets: for each rule a cluster that is wrong in this alone.

What may be done is asked of a double, by the engine that asks the real server; who asks, where, and what is to run are
the sample's own, so that nothing else is wrong with it than with the sample.
"""

import hashlib
import random
from collections.abc import Mapping, Sequence
from typing import Any

from security.access import FORBIDDEN, NEEDED, Grant, Paths
from security.engines.reviews import Target, reviews
from security.gate import Violation
from security.gates.deployer.double import Binding, Double, bound
from security.gates.deployer.facts import Family
from security.gates.deployer.rules import FAMILIES
from security.posture import Answer, amended, reply

_HERE = "sluice-sample"
_MORE: tuple[tuple[str, str, str], ...] = (
    ("update", "configmaps", ""),
    ("watch", "pods", ""),
    ("get", "pods/log", ""),
    ("delete", "serviceaccounts", ""),
    ("update", "deployments/scale", "apps"),
    ("deletecollection", "jobs", "batch"),
    ("list", "leases", "coordination.k8s.io"),
    ("get", "roles", "rbac.authorization.k8s.io"),
    ("create", "horizontalpodautoscalers", "autoscaling"),
)
_WILD: tuple[tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]], ...] = (
    (("*",), ("",), ("configmaps",)),
    (("get",), ("batch",), ("*",)),
    (("get",), ("*",), ("pods",)),
    (("update",), ("apps",), ("*/scale",)),
    (("get", "*"), ("apps",), ("deployments",)),
)


def _double(sample: Sequence[Answer], draw: random.Random, **ways: Any) -> list[Answer]:
    """The answers of a double in the sample's place."""
    place, rules = reply(sample, "place"), reply(sample, "rules")
    here = str(place.get("namespace") or _HERE)
    target = Target(str(place.get("server") or "https://cluster.example"), tuple(place.get("ca") or ("0" * 64,)), here)
    told = reply(sample, "images") or {f"Deployment/{here}": ""}
    of = Double(here, **ways)
    made = reviews(of.ask, target, told, f"{draw.getrandbits(64):x}", sorted({*rules} - {here, "error"})).answers
    if "user" in (who := reply(sample, "who")):
        made["who"] = dict(who)
    return sorted(made.items())


def _here(sample: Sequence[Answer]) -> str:
    return str(reply(sample, "place").get("namespace") or _HERE)


def _elsewhere(sample: Sequence[Answer], draw: random.Random) -> list[Answer]:
    """Another server, or one that is believed by another certificate."""
    other = f"x{draw.randrange(10**9)}"
    changes: list[dict[str, Any]] = [
        {"server": f"https://{other}.example"},
        {"ca": [hashlib.sha256(other.encode()).hexdigest()]},
        {"ca": [*reply(_double(sample, draw), "place")["ca"], hashlib.sha256(other.encode()).hexdigest()]},
    ]
    return amended(_double(sample, draw), "place", **draw.choice(changes))


def _somebody(sample: Sequence[Answer], draw: random.Random) -> list[Answer]:
    """Another user, nobody, or one in a group that may do everything."""
    made = _double(sample, draw)
    groups = reply(made, "who")["groups"]
    changes: list[dict[str, Any]] = [
        {"user": f"system:serviceaccount:x{draw.randrange(10**9)}:deployer"},
        {"user": f"sha256:{draw.getrandbits(256):064x}"},
        {"user": "system:anonymous", "groups": ["system:unauthenticated"]},
        {"groups": sorted({*groups, "system:masters"})},
        {"groups": sorted({*groups, f"sha256:{draw.getrandbits(256):064x}"})},
    ]
    return amended(made, "who", **draw.choice(changes))


def _image(sample: Sequence[Answer], draw: random.Random) -> list[Answer]:
    """One image of another registry whose name begins or ends alike, without its digest, or none."""
    made = _double(sample, draw)
    told: Mapping[str, str] = reply(made, "images")
    place = draw.choice(sorted(told))
    name, _, digest = told[place].partition("@")
    host, _, path = name.partition("/")
    digest = digest or f"sha256:{draw.getrandbits(256):064x}"
    path = path or "image"
    changes = [
        f"{host}.x{draw.randrange(10**9)}.example/{path}@{digest}",
        f"x{draw.randrange(10**9)}.example/{name}@{digest}",
        f"{host or 'registry.example'}/{path}:latest",
        f"{path.rpartition('/')[2]}@{digest}",
        "",
    ]
    return amended(made, "images", **{place: draw.choice(changes)})


def _lacking(sample: Sequence[Answer], draw: random.Random) -> list[Answer]:
    """Some of what is needed is granted by no rule."""
    return _double(sample, draw, lacks=draw.sample([each.label for each in NEEDED], draw.randint(1, 4)))


def _granted(name: Family) -> Violation[Answer]:
    """Some of a family is granted."""

    def make(sample: Sequence[Answer], draw: random.Random) -> list[Answer]:
        actions = draw.sample(FORBIDDEN[name], draw.randint(1, min(3, len(FORBIDDEN[name]))))
        return _double(sample, draw, more=[bound(each, _here(sample)) for each in actions])

    return make


def _more(sample: Sequence[Answer], draw: random.Random) -> list[Answer]:
    """One verb more, in the namespace or the cluster, on all objects or one; or an address that is nobody's."""
    verb, resource, group = draw.choice(_MORE)
    names = draw.choice([(), (f"x{draw.randrange(10**9)}",)])
    rule = Grant(verbs=(verb,), groups=(group,), resources=(resource,), names=names)
    binding: Binding = (draw.choice(["", _here(sample), "default"]), rule)
    if draw.random() < 0.2:
        binding = ("", Paths(verbs=("get",), paths=(draw.choice(["/metrics", "/logs", "/debug/pprof/heap"]),)))
    return _double(sample, draw, more=[binding])


def _wild(sample: Sequence[Answer], draw: random.Random) -> list[Answer]:
    """All verbs, groups or resources of something, or all addresses."""
    verbs, groups, resources = draw.choice(_WILD)
    binding: Binding = (_here(sample), Grant(verbs=verbs, groups=groups, resources=resources))
    if draw.random() < 0.2:
        binding = ("", Paths(verbs=("get",), paths=(draw.choice(["*", "/*", "/logs/*"]),)))
    return _double(sample, draw, more=[binding])


def _silent(sample: Sequence[Answer], draw: random.Random) -> list[Answer]:
    """The server does not tell a rule by which something is allowed all the same."""
    made, here = _double(sample, draw), _here(sample)
    rules = reply(made, "rules")
    grants = list(rules[here]["grants"])
    del grants[draw.randrange(len(grants))]
    return amended(made, "rules", **{here: {**rules[here], "grants": grants}})


VIOLATIONS: dict[str, Violation[Any]] = {
    "DA-TARGET": _elsewhere,
    "DA-WHO": _somebody,
    "DA-IMAGE": _image,
    "DA-NEED": _lacking,
    **{rule: _granted(name) for name, rule in FAMILIES.items() if name not in ("wild", "more")},
    "DA-WILD": _wild,
    "DA-MORE": _more,
    "DA-AGREE": _silent,
}
"""A cluster that asks, and grants whatever else it is told to."""
