"""What a cluster gives back is read as what was sent to it; what it gives back otherwise is not let go."""

import copy
from typing import Any

import pytest

from security.errors import CannotTell
from security.manifests import parse
from security.manifests.live import written
from tests.security.manifests.given import OWN, Objects, objects, rendered


def served(told: Objects) -> Objects:
    """As a server of version 1.34 gives it back."""
    made = copy.deepcopy(told)
    for each in made.values():
        each["metadata"] |= {
            "uid": "0f", "resourceVersion": "7", "generation": 1, "creationTimestamp": "2026-01-01T00:00:00Z",
            "managedFields": [{"manager": "sluice"}],
        }  # fmt: skip
        each["status"] = {"observedGeneration": 1}
        pod = each.get("spec", {}).get("template", {}).get("spec")
        if pod:
            pod |= {"schedulerName": "default-scheduler", "dnsPolicy": "ClusterFirst"}
            pod["serviceAccount"] = pod["serviceAccountName"]
            each["spec"]["template"]["metadata"]["creationTimestamp"] = None
            for container in pod["containers"]:
                container |= {"terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File"}
    made["Namespace/sluice"]["spec"] = {"finalizers": ["kubernetes"]}
    made["Service/sample"]["spec"] |= {
        "clusterIP": "10.0.0.7", "clusterIPs": ["10.0.0.7"], "ipFamilies": ["IPv4"], "ipFamilyPolicy": "SingleStack",
        "internalTrafficPolicy": "Cluster", "sessionAffinity": "None",
    }  # fmt: skip
    made[f"Job/{OWN}-probe"]["spec"] |= {
        "selector": {"matchLabels": {"batch.kubernetes.io/controller-uid": "0f"}}, "completionMode": "NonIndexed",
        "podReplacementPolicy": "TerminatingOrFailed", "manualSelector": False, "suspend": False, "completions": 1,
    }  # fmt: skip
    return made


def test_what_is_given_back_is_read_as_what_was_sent() -> None:
    sent = objects(rendered())
    for name, each in served(sent).items():
        before = copy.deepcopy(each)
        made, own = parse(name, written(each)), parse(name, sent[name])
        assert each == before
        assert (made.place, made.metadata) == (own.place, own.metadata)
        assert written(sent[name]) == sent[name]
    deployment = written(served(sent)[f"Deployment/{OWN}"])
    assert deployment["spec"]["selector"] == sent[f"Deployment/{OWN}"]["spec"]["selector"]


@pytest.mark.parametrize(
    ("name", "spec"),
    [
        ("Service/sample", {"sessionAffinity": "ClientIP"}),
        ("Service/sample", {"internalTrafficPolicy": "Local"}),
        (f"Job/{OWN}-probe", {"manualSelector": True}),
        ("Namespace/sluice", {"finalizers": ["mine"]}),
    ],
)
def test_another_value_than_the_servers_own_stays_and_is_refused(name: str, spec: dict[str, Any]) -> None:
    told = served(objects(rendered()))[name]
    told["spec"] |= spec
    with pytest.raises(CannotTell, match=next(iter(spec)) if name[0] != "N" else "spec"):
        parse(name, written(told))
