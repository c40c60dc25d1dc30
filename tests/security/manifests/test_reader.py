"""YAML in one reading only: what another reader could take for something else is refused."""

from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from security.errors import CannotTell
from security.manifests import documents, parse
from security.manifests.reader import BYTES, DEPTH, DOCUMENTS
from tests.security.manifests.given import objects, rendered

TEXT = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=12)
VALUE = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**18), 10**18) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)


def read(text: str) -> list[Any]:
    return [told for _, told in documents([("a.yaml", text.encode())])]


@given(st.lists(st.dictionaries(TEXT, VALUE, min_size=1), min_size=1, max_size=3))
def test_what_is_written_in_quotes_is_read_as_it_was(told: list[Any]) -> None:
    class Quoting(yaml.SafeDumper):
        def ignore_aliases(self, data: Any) -> bool:
            return True

    Quoting.add_representer(str, lambda dumper, text: dumper.represent_scalar("tag:yaml.org,2002:str", text, '"'))
    assert read(yaml.dump_all(told, Dumper=Quoting)) == told


def test_documents_have_places_and_json_is_read_too() -> None:
    items = [("a.yaml", b"---\na: 1\n---\nb: [x, 2, true, null, 1.5]\n"), ("b.json", b'{"c": "yes"}')]
    assert list(documents(items)) == [
        ("a.yaml#1", {"a": 1}),
        ("a.yaml#2", {"b": ["x", 2, True, None, 1.5]}),
        ("b.json#1", {"c": "yes"}),
    ]


def test_who_changes_a_document_changes_nobody_elses() -> None:
    first = read("a: {b: [c]}\n")
    first[0]["a"]["b"].append("d")
    assert read("a: {b: [c]}\n") == [{"a": {"b": ["c"]}}]


@pytest.mark.parametrize(
    "text",
    [
        "a: &x 1\nb: *x\n", "a: &x 1\n", "a: !!str 1\n",
        "a: !!python/object:os.system {}\n", "%YAML 1.1\n---\na: 1\n",
        "a: {<<: {b: 1}}\n", "a: 1\na: 2\n", "a: {b: 1, b: 2}\n", "1: a\n", "true: a\n", "? [a]\n: b\n",
        "a: yes\n", "a: No\n", "a: on\n", "a: y\n", "a: 0644\n", "a: 0o644\n", "a: 0x1f\n", "a: 1:30\n",
        "a: 2024-01-01\n", "a: 1_000\n", "a: 1e3\n", "a: .inf\n", "a: +1\n", "a: TRUE\n", "a: Null\n", "a: -0\n",
        "a: =\n",
        '{"a": 1, "a": 2}', '{"a": {"b": 1, "b": 2}}', '{"a": NaN}', "{a: yes}",
        '{"a": ' * 60 + "1" + "}" * 60,
        "", "---\n", "a: 1\n---\n", "[a]\n", "a\n", "{}\n", "a: [\n", "a: 1\n b: 2\n", "a: \x07\n", "\xff",
    ],
)  # fmt: skip
def test_what_has_more_than_one_reading_is_refused(text: str) -> None:
    with pytest.raises(CannotTell):
        read(text)


def test_what_is_no_utf8_or_too_much_is_refused() -> None:
    for data in (b"a: \xff\n", b"a: " + b"x" * BYTES, b"a:" + b" [" * (DEPTH + 1), b"---\na: b\n" * (DOCUMENTS + 1)):
        with pytest.raises(CannotTell):
            list(documents([("a.yaml", data)]))


def test_many_files_are_no_more_than_one() -> None:
    with pytest.raises(CannotTell, match="in all"):
        list(documents((f"{number}.yaml", b"a: b\n") for number in range(DOCUMENTS + 1)))


def test_our_own_manifests_are_read_as_another_reader_reads_them() -> None:
    told = {f"{each['kind']}/{each['metadata']['name']}": each for _, each in documents(rendered())}
    assert told == objects(rendered())


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"kind": "Deployments"}, "not known"),
        ({"kind": None}, "not known"),
        ({"kind": ["Pod"]}, "not known"),
        ({"apiVersion": "v2"}, "apiVersion"),
        ({"status": {}}, "status"),
        ({"metadata": {"name": "Upper"}}, "metadata.name"),
        ({"metadata": {"name": "a", "labels": {"a": 1}}}, "metadata.labels.a"),
        ({"spec": {"containers": []}}, "spec.containers"),
        ({"spec": {"containers": [{"name": "a", "image": "b", "imagePullpolicy": "Always"}]}}, "imagePullpolicy"),
        ({"spec": {"containers": [{"name": "a", "resources": {"limits": {"cpu": "1 core"}}}]}}, "resources.limits.cpu"),
        ({"spec": {"containers": [{"name": "a"}], "hostNetwork": "true"}}, "hostNetwork"),
    ],
)
def test_an_object_that_is_not_what_its_kind_is_is_refused(change: dict[str, Any], said: str) -> None:
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}, "spec": {"containers": [{"name": "a"}]}}
    assert parse("a", pod).place == "Pod/default/a"
    with pytest.raises(CannotTell, match=said):
        parse("a", {key: value for key, value in (pod | change).items() if value is not None})
