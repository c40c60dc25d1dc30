"""Manifests from values: the same bytes, no value that becomes structure, no placeholder that is left."""

import json
import shutil
import socket
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from deployments.kubernetes import lease
from deployments.kubernetes import render as module
from deployments.kubernetes.probe import main, tried
from deployments.kubernetes.render import FILES, RenderError, Values, release, render
from deployments.serving.__main__ import options
from security.manifests import documents
from tests.security.manifests.given import OWN, RELEASE, VALUES, objects, rendered


def test_the_same_values_give_the_same_bytes() -> None:
    assert rendered(replicas=2) == rendered()
    assert [name for name, _ in rendered()] == list(FILES)
    assert b"${" not in b"".join(data for _, data in rendered())


def test_each_value_changes_what_is_rendered() -> None:
    other = {
        "pipeline": "other_one", "namespace": "far", "image": None, "model": "ef" * 32, "path": "/api/v2/x",
        "replicas": 3, "issuer": "https://other.example", "audience": "else", "tenant": "other",
        "key": VALUES["key"].replace("M", "N"), "verifier": VALUES["key"].replace("M", "N"), "target": "elsewhere",
        "jwks": '{"keys": [1]}', "policy": "ee" * 32,
    }  # fmt: skip
    assert set(other) == set(VALUES) == set(Values.model_fields)
    for name, value in other.items():
        assert rendered(**{name: value}) != rendered(), name


def test_values_stand_where_they_belong() -> None:
    told = objects(rendered(pipeline="recommendation_engine_v2", replicas=5))
    (deployment,) = (each for each in told.values() if each["kind"] == "Deployment")
    assert deployment["metadata"]["name"].startswith("recommendation-engine-v2-")
    assert deployment["spec"]["replicas"] == 5
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    assert container["image"] == VALUES["image"]
    arguments = dict(zip(container["args"][::2], container["args"][1::2], strict=True))
    assert arguments["--name"] == "recommendation_engine_v2"
    assert arguments["--path"] == VALUES["path"]
    known = options(container["args"])
    assert (known.path, known.tenant, known.port) == (VALUES["path"], VALUES["tenant"], 8080)
    (trust,) = (name.partition("/")[2] for name in told if name.startswith("ConfigMap/"))
    assert deployment["spec"]["template"]["spec"]["volumes"][0]["configMap"]["name"] == trust
    said = {"producer.pem": VALUES["key"], "verifier.pem": VALUES["verifier"], "jwks.json": VALUES["jwks"]}
    assert told[f"ConfigMap/{trust}"]["data"] == said
    unbuilt = objects(rendered(image=None))
    (deployment,) = (each for each in unbuilt.values() if each["kind"] == "Deployment")
    assert deployment["spec"]["template"]["spec"]["containers"][0]["image"] == ""


def test_pods_begin_with_a_lease_that_no_manifest_has_and_with_no_registry() -> None:
    told = objects(rendered())
    pod = told[f"Deployment/{OWN}"]["spec"]["template"]["spec"]
    known = options(pod["containers"][0]["args"])
    assert (known.registry, known.target, known.name) == (None, VALUES["target"], "sample")
    mounted = {each["name"]: each["mountPath"] for each in pod["containers"][0]["volumeMounts"]}
    volumes = {each["name"]: each.get("configMap") for each in pod["volumes"]}
    assert known.lease == Path(mounted["lease"]) / lease.FILE
    assert known.verifier == Path(mounted["trust"]) / "verifier.pem"
    assert volumes["lease"] == {"name": lease.called("sample"), "optional": False}
    assert f"ConfigMap/{lease.called('sample')}" not in told
    assert b"Unsafe" not in b"".join(data for _, data in rendered())


def test_a_release_has_objects_of_its_own_and_callers_are_led_to_one() -> None:
    told = objects(rendered())
    own = {name for name in told if OWN in name}
    jobs = {f"Job/{OWN}-{each}" for each in ("probe", "stranger", "smoke")}
    assert own == {f"Deployment/{OWN}", f"Service/{OWN}", *jobs}
    for name in own - {f"Service/{OWN}"}:
        assert told[name]["metadata"]["labels"]["sluice/release"] == RELEASE
        assert told[name]["spec"]["template"]["metadata"]["labels"]["sluice/release"] == RELEASE
    labels = told[f"Deployment/{OWN}"]["spec"]["template"]["metadata"]["labels"]
    assert told[f"Deployment/{OWN}"]["spec"]["selector"]["matchLabels"].items() <= labels.items()
    for name in ("Service/sample", f"Service/{OWN}"):
        assert told[name]["spec"]["selector"]["sluice/release"] == RELEASE
    assert [name for name, _ in rendered()][-2:] == ["service.yaml", "smoke.yaml"]


@pytest.mark.parametrize("name", sorted(VALUES))
def test_whatever_is_told_of_it_otherwise_is_another_release(name: str) -> None:
    other = {
        "model": "ef" * 32, "image": f"registry.example/sluice/serving@sha256:{'ac' * 32}", "path": "/api/v2/x",
        "key": VALUES["key"].replace("M", "N"), "jwks": '{"keys": [1]}', "pipeline": "other", "namespace": "far",
        "replicas": 9, "policy": "ee" * 32, "verifier": VALUES["key"].replace("M", "N"), "target": "elsewhere",
    }.get(name, "https://other.example")  # fmt: skip
    assert release(Values.model_validate(VALUES | {name: other})) != RELEASE


def test_another_template_is_another_release(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(module, "HERE", shutil.copytree(module.HERE, tmp_path / "manifests"))
    path = module.HERE / "deployment.yaml"
    path.write_text(path.read_text().replace("memory: 512Mi", "memory: 16Mi"))
    assert release(Values.model_validate(VALUES)) != RELEASE


@given(word=st.from_regex(r"[0-9a-f]{12}", fullmatch=True) | st.sampled_from(["123e45678901", "0e1", "y", "012"]))
def test_no_reader_takes_the_name_of_a_release_for_a_number(word: str) -> None:
    data = dict(module._files(Values.model_validate(VALUES), word))["smoke.yaml"]
    ((_, told),) = documents([("smoke.yaml", data)])
    assert told["metadata"]["labels"]["sluice/release"] == word


def test_a_value_never_becomes_structure() -> None:
    told = objects(rendered(jwks='{"keys": []}\n---\nkind: Pod\n', issuer="a:${name}"))
    assert "Pod" not in {each["kind"] for each in told.values()}
    (deployment,) = (each for each in told.values() if each["kind"] == "Deployment")
    assert "a:${name}" in deployment["spec"]["template"]["spec"]["containers"][0]["args"]


@pytest.mark.parametrize(
    "changed",
    [
        {"image": "registry.example/a:latest"}, {"image": ""}, {"pipeline": "a-b"}, {"pipeline": "x" * 42},
        {"namespace": "A"}, {"replicas": 1}, {"replicas": "2"}, {"path": "api"}, {"model": "ab"}, {"key": "PRIVATE"},
        {"jwks": "[]"}, {"issuer": ""}, {"audience": "a b"}, {"more": 1},
    ],
)  # fmt: skip
def test_values_are_what_they_should_be(changed: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        rendered(**changed)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: ${nmae}", "nmae"),
        ("a: ${Name}", "not spelled"),
        ("a: x-${name", "not spelled"),
        ("a: b", "no manifest says"),
    ],
)
def test_a_placeholder_that_is_not_known_or_not_used_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, said: str
) -> None:
    (tmp_path / "a.yaml").write_text(text)
    monkeypatch.setattr(module, "HERE", tmp_path)
    monkeypatch.setattr(module, "FILES", ("a.yaml",))
    with pytest.raises(RenderError, match=said):
        render(Values.model_validate(VALUES))


def test_the_files_are_all_that_there_are() -> None:
    here = Path(module.__file__).parent / "manifests"
    assert {path.name for path in here.iterdir()} == set(FILES)
    assert all(list(yaml.safe_load_all((here / name).read_text())) for name in FILES)


def test_a_probe_tells_what_came_of_a_connection(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert tried("127.0.0.1", port) == "connected"
        assert main(["--host", "127.0.0.1", "--port", str(port), "--expected", "allowed"]) == 0
    assert tried("127.0.0.1", port) == "refused"
    assert tried("no.such.name.invalid", port) == "unresolved"
    told = json.loads(capsys.readouterr().out)
    assert told == {"name": f"127.0.0.1:{port} allowed", "expected": "allowed", "outcome": "connected"}
