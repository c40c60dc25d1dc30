"""The algebra of rights: what rules grant beyond what is needed, against RBAC decided request by request.

The cheapest that would satisfy the words, and what catches each:
- stars are taken for words: `test_what_is_beyond_is_what_somebody_could_do`;
- a subresource counts as its resource, or all objects as the one that is needed: the same;
- whatever everybody has is let go with its neighbours: `test_what_everybody_has_is_that_and_no_more`.
"""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from security.access import FORBIDDEN, NEEDED, Action, Excess, Grant, Paths, allows, beyond, everyone, family
from security.access.everyone import ACCOUNTS, KNOWN
from tests.security.gates.rbac import BOOTSTRAP, permits

HERE = "sluice-sample"
VERBS, GROUPS = ["get", "list", "create", "patch", "*"], ["", "apps", "*"]
RESOURCES = ["pods", "pods/log", "deployments", "namespaces", "*/scale", "*"]
NAMES = [HERE, "other"]
STRANGE = "surely-nobodys"


def words(of: list[str]) -> st.SearchStrategy[list[str]]:
    return st.lists(st.sampled_from(of), max_size=3, unique=True)


RULES = st.lists(
    st.fixed_dictionaries(
        {
            "verbs": words(VERBS),
            "apiGroups": words(GROUPS),
            "resources": words(RESOURCES),
            "resourceNames": words(NAMES),
        }
    ),
    max_size=3,
)
NEEDS = st.lists(
    st.one_of(
        st.builds(Action, st.sampled_from(VERBS[:-1]), st.sampled_from(["pods", "pods/log"])),
        st.builds(Action, st.sampled_from(VERBS[:-1]), st.just("deployments"), st.just("apps")),
        st.builds(Action, st.sampled_from(["get", "patch"]), st.just("namespaces"), named=st.just(True)),
    ),
    max_size=5,
)


def told(rules: list[dict[str, Any]]) -> list[Grant]:
    names = {"verbs": "verbs", "apiGroups": "groups", "resources": "resources", "resourceNames": "names"}
    return [Grant.model_validate({names[key]: tuple(each) for key, each in rule.items()}) for rule in rules]


WHOLE = ("pods", "pods/log", "deployments", "deployments/scale", "namespaces", STRANGE, f"pods/{STRANGE}")


def requests() -> list[dict[str, str]]:
    """Every request that could tell one set of rules from another: each word, and one that no rule has."""
    made = []
    for verb in (*VERBS[:-1], STRANGE):
        for group in (*GROUPS[:-1], STRANGE):
            for whole in WHOLE:
                resource, _, sub = whole.partition("/")
                told = {"verb": verb, "group": group, "resource": resource, "subresource": sub}
                made += [{**told, "name": name} for name in ("", HERE, "other", STRANGE)]
    return made


REQUESTS = requests()


def covered(asked: dict[str, str], needs: list[Action]) -> bool:
    whole = asked["resource"] + (f"/{asked['subresource']}" if asked["subresource"] else "")
    return any(
        (each.verb, each.group, each.resource) == (asked["verb"], asked["group"], whole)
        and (not each.named or asked["name"] == HERE)
        for each in needs
    )


@settings(max_examples=400, deadline=None)
@given(rules=RULES, needs=NEEDS)
def test_what_is_beyond_is_what_somebody_could_do(rules: list[dict[str, Any]], needs: list[Action]) -> None:
    """Each request that a rule permits and that is not needed is of something that is found, and whatever is found
    permits such a request."""
    could = [each for each in REQUESTS if any(permits(rule, each) for rule in rules) and not covered(each, needs)]
    found = list(beyond(told(rules), (), needs, HERE, frozenset()))
    each = [{"verbs": [one.verb], "apiGroups": [one.group], "resources": [one.resource]} for one in found]
    each = [rule | ({"resourceNames": [one.name]} if one.name else {}) for rule, one in zip(each, found, strict=True)]
    assert all(any(permits(rule, asked) for rule in each) for asked in could)
    assert all(any(permits(rule, asked) for asked in could) for rule in each)


@settings(max_examples=300, deadline=None)
@given(rules=RULES, at=st.integers(0, len(REQUESTS) - 1))
def test_a_rule_grants_what_rbac_permits(rules: list[dict[str, Any]], at: int) -> None:
    asked = REQUESTS[at]
    assert any(each.allows(asked) for each in told(rules)) == any(permits(rule, asked) for rule in rules)


@settings(max_examples=200, deadline=None)
@given(rules=RULES, more=RULES, needs=NEEDS)
def test_more_rules_are_no_less(rules: list[dict[str, Any]], more: list[dict[str, Any]], needs: list[Action]) -> None:
    """What is beyond of two lists together is what is beyond of each."""
    each = [{*beyond(told(one), (), needs, HERE, frozenset())} for one in (rules, more)]
    assert {*beyond(told([*rules, *more]), (), needs, HERE, frozenset())} == each[0] | each[1]


def test_what_is_needed_is_not_beyond_and_one_thing_more_is() -> None:
    grants = [
        Grant(verbs=(each.verb,), groups=(each.group,), resources=(each.resource,), names=(HERE,) if each.named else ())
        for each in NEEDED
    ]
    assert not list(beyond(grants, (), NEEDED, HERE, frozenset()))
    assert all(allows(grants, each, HERE) for each in NEEDED)
    for name, actions in FORBIDDEN.items():
        for each in actions:
            assert not allows(grants, each, HERE) or name == "elsewhere", each
            if name != "elsewhere":
                more = Grant(verbs=(each.verb,), groups=(each.group,), resources=(each.resource,))
                assert [*beyond([*grants, more], (), NEEDED, HERE, frozenset())] == [
                    Excess(each.verb, each.resource, each.group)
                ]
                assert family(each.verb, each.resource, each.group) == name


def test_each_action_has_a_label_of_its_own() -> None:
    every = [*NEEDED, *(each for actions in FORBIDDEN.values() for each in actions)]
    assert len({each.label for each in every}) == len(every) == len({*every})


def test_what_everybody_has_is_that_and_no_more() -> None:
    """As a new cluster has it; an address with a star is that very spelling."""
    for name, (rules, group) in BOOTSTRAP.items():
        grants = told([each for each in rules if "resources" in each])
        urls = [
            Paths(verbs=tuple(each["verbs"]), paths=tuple(each["nonResourceURLs"]))
            for each in rules
            if "nonResourceURLs" in each
        ]
        given = everyone(["system:authenticated", group])
        assert not list(beyond(grants, urls, NEEDED, HERE, given)), name
    more = Paths(verbs=("get", "post"), paths=("/api/*", "/api*", "/metrics", "*"))
    found = [*beyond([], [more], NEEDED, HERE, KNOWN)]
    assert [each.label for each in found] == ["get /api*", "get /metrics", "get *", *(f"post {p}" for p in more.paths)]
    issuer = Paths(verbs=("get",), paths=("/openid/v1/jwks",))
    assert [*beyond([], [issuer], NEEDED, HERE, everyone(["system:authenticated"]))]
    assert KNOWN < ACCOUNTS


@pytest.mark.parametrize(
    ("what", "name"),
    [
        (("impersonate", "userextras/scopes", "authentication.k8s.io"), "impersonation"),
        (("impersonate:user-info", "users", "authentication.k8s.io"), "impersonation"),
        (("list", "rolebindings", "rbac.authorization.k8s.io"), "more"),
        (("deletecollection", "secrets", ""), "secrets"),
        (("update", "nodes/status", ""), "nodes"),
        (("update", "namespaces/finalize", ""), "namespaces"),
        (("sign", "signers", "certificates.k8s.io"), "tokens"),
        (("get", "*/scale", "apps"), "wild"),
        (("get", "secrets", "example.com"), "more"),
    ],
)
def test_families(what: tuple[str, str, str], name: str) -> None:
    assert family(*what) == name
