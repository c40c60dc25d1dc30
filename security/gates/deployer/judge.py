"""What is wrong with who deploys, where, and what: facts against a policy, in the order of the rules."""

import re
from collections import defaultdict
from collections.abc import Collection, Iterator

from security.access import FORBIDDEN, NEEDED, SYSTEM, Excess, allows, beyond, everyone, family
from security.engines.reviews import ACTIONS, shown
from security.errors import CannotTell
from security.gates.deployer.facts import ANONYMOUS, KNOWN, MASTERS, Cluster, Limits
from security.gates.deployer.rules import FAMILIES
from security.verdict import Breach

SHOWN = 6
"""How much of one kind a finding names."""
_PINNED = re.compile(
    r"(?P<name>[a-z0-9]([a-z0-9.-]*[a-z0-9])?(:[0-9]{1,5})?(/[a-z0-9]+([._-]+[a-z0-9]+)*)+)"
    r"(:[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?@sha256:[0-9a-f]{64}"
)
_ACCOUNT = re.compile(r"system:serviceaccount:([a-z0-9-]+):[a-z0-9.-]+")


def target(seen: Cluster, limits: Limits) -> Iterator[Breach]:
    """Server, CA, namespace; and that there is to be a cluster at all."""
    if limits.target == "local":
        yield _breach("DA-TARGET", "target", "a cluster was asked", "a process of this machine")
    if seen.server != limits.server:
        yield _breach("DA-TARGET", "server", f"{seen.server} was asked", limits.server or "none that the policy names")
    if seen.ca != (limits.ca,):
        told = ", ".join(each[:12] for each in seen.ca)
        yield _breach("DA-TARGET", "ca", f"it is believed by {told}", limits.ca[:12] or "none that the policy names")
    if not limits.lies(seen.namespace):
        yield _breach("DA-TARGET", "namespace", seen.namespace, limits.namespace or "the pipeline's own")


def who(user: str, groups: Collection[str], limits: Limits) -> Iterator[Breach]:
    """Somebody, who is the policy's, and in no group that it does not know."""
    if user == "system:anonymous" or KNOWN not in groups or ANONYMOUS in groups:
        yield _breach("DA-WHO", "user", "the server knows nobody by these credentials", "whom the policy names")
    elif not limits.identity or user != shown(limits.identity):
        told = user if user.startswith("system:") else "somebody whom Kubernetes has not named"
        allowed = "whom the policy names" if limits.identity else "nobody, since the policy names none"
        yield _breach("DA-WHO", "user", f"{told} deploys", allowed)
    account = _ACCOUNT.fullmatch(user)
    given = {KNOWN, *(("system:serviceaccounts", f"system:serviceaccounts:{account[1]}") if account else ())}
    for group in sorted({*groups} - given - {ANONYMOUS} - {shown(each) for each in limits.groups}):
        what = "a group that may do everything, whatever the rules are" if group == MASTERS else "one group more"
        yield _breach("DA-WHO", group, what, "Kubernetes' own, and the policy's")


def images(told: dict[str, str], limits: Limits) -> Iterator[Breach]:
    """Each by digest, of a registry that is listed, compared by whole parts of its name."""
    allowed = f"NAME@sha256:..., of {' or '.join(limits.registries) or 'a registry that the policy names: none'}"
    for place, image in sorted(told.items()):
        found = _PINNED.fullmatch(image)
        if not found:
            yield _breach("DA-IMAGE", place, "no registry, or no digest" if image else "no image", allowed)
        elif not any(f"{found['name']}/".startswith(f"{each}/") for each in limits.registries):
            yield _breach("DA-IMAGE", place, f"an image of {found['name'].partition('/')[0]}", allowed)


def rights(seen: Cluster) -> Iterator[Breach]:
    """What is needed and denied; then, by family, what is allowed and must not be: by reviews, and by rules."""
    denied = defaultdict[str, list[str]](list)
    for each in NEEDED:
        if each.label in seen.denied:
            denied[each.kind].append(each.verb)
    for kind, verbs in denied.items():
        yield _breach("DA-NEED", kind, f"{', '.join(verbs)} denied in {seen.namespace}", "what the rollout does")
    told = defaultdict[str, list[str]](list)
    for name, actions in FORBIDDEN.items():
        told[name] += [each.label for each in actions if each.label in seen.allowed]
    if seen.control:
        told["wild"].append("what was made up for this question")
    must_not = [each for actions in FORBIDDEN.values() for each in actions if each.label in seen.allowed]
    asked = {(each.verb, each.resource, each.group) for each in must_not}
    needed = {(each.verb, each.resource, each.group) for each in NEEDED if not each.named}
    for one, places in _beyond(seen).items():
        what = (one.verb, one.resource, one.group)
        if one.name is None and what in asked and {*places} <= {seen.namespace, *SYSTEM}:
            continue  # the reviews have said so
        name = "elsewhere" if what in needed else family(*what)
        told[name].append(f"{one.label} (by the rules in {', '.join(places)})")
    for name, rule in FAMILIES.items():
        if found := told[name]:
            yield _breach(rule, name, f"it may {_some(found)}", "none of that")


def _beyond(seen: Cluster) -> dict[Excess, list[str]]:
    """What rules grant beyond what is needed -> the namespaces in which they do."""
    found = defaultdict[Excess, list[str]](list)
    given = everyone(seen.groups)
    for name, rules in seen.rules.items():
        needed = NEEDED if name == seen.namespace else [each for each in NEEDED if each.named]
        for each in dict.fromkeys(beyond(rules.grants, rules.paths, needed, seen.namespace, given)):
            found[each].append(name)
    return found


def agree(seen: Cluster) -> Iterator[Breach]:
    """Where the rules are all there is, a review answers what they say. All namespaces at once it can only answer by
    rules that are in each."""
    if any(each.incomplete or each.unsure for each in seen.rules.values()):
        return
    odd: list[str] = []
    for label, each in ACTIONS.items():
        spaces = [each.namespace(seen.namespace)] if each.where != "everywhere" else [seen.namespace, *SYSTEM]
        granted = all(allows(seen.rules[space].grants, each, seen.namespace) for space in spaces)
        if (label in seen.allowed) > granted or (each.where != "everywhere" and (label in seen.allowed) < granted):
            odd.append(f"{label} is {'allowed' if label in seen.allowed else 'denied'}")
    if odd:
        yield _breach("DA-AGREE", "reviews", f"{_some(odd)}, and the rules say otherwise", "what the rules say")


def left(seen: Cluster, limits: Limits) -> None:
    """`CannotTell` for what the answers leave open; last what a policy may observe."""
    if lacking := sorted({*limits.others} - {*seen.rules}):
        raise CannotTell(f"the rules in {lacking[0]} were not asked for", "coverage")
    if seen.unsure:
        raise CannotTell(f"the server could not wholly tell of {_some(list(seen.unsure))}", "evaluation")
    for name, rules in seen.rules.items():
        if rules.unsure and not rules.incomplete:
            raise CannotTell(f"the server could not tell all rules in {name}: an error came up", "evaluation")
    if lists := [name for name, rules in seen.rules.items() if rules.incomplete]:
        raise CannotTell(
            f"the server's list of rules is not complete in {', '.join(lists)}: {len(ACTIONS)} things were asked "
            "for by name; whether anything else is allowed nobody can tell",
            "incomplete",
        )


def _some(found: list[str]) -> str:
    return ", ".join(found[:SHOWN]) + (f", and {len(found) - SHOWN} more" if len(found) > SHOWN else "")


def _breach(rule: str, place: str, what: str, allowed: str) -> Breach:
    return Breach(rule=rule, place=place, message=f"{what}; allowed: {allowed}")
