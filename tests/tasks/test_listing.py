"""A folder that is no checkout, with a signed list of its files."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from security.errors import KeyBroken
from security.gate import judge, observe
from security.gates.code import MANIFEST, Listed, digest, manifest, sealed
from security.keys import STATEMENT, UnsafeLocalKeys, seal
from security.verdict import Outcome
from tasks import tree
from tests.tasks.checkouts import GATE, Limits, files, found, relinked, verdict, wrote

SHA = "a" * 64


def listed(root: Path, keys: UnsafeLocalKeys) -> bytes:
    each = [Listed(one.path, one.mode, digest(one, git=False)) for one in tree.files(root)]
    return sealed(each, "1" * 40, keys.signer("owner"))


@pytest.fixture
def image(tmp_path: Path) -> tuple[Path, Limits]:
    """A folder with a list of its files, and limits that hold the key that signed it."""
    root, keys = tmp_path / "image", UnsafeLocalKeys(tmp_path / "keys")
    files(root)
    (root / MANIFEST).write_bytes(listed(root, keys))
    pem = keys.public("owner").pem.decode()
    return root, {"signers": [], "manifests": [pem], "imported": False, "commit": "1" * 40}


def test_a_folder_with_a_signed_list_passes(image: tuple[Path, Limits]) -> None:
    told = verdict(*image)
    assert told.outcome is Outcome.PASS, told.reason
    assert told.reason == "6/6 files of code, manifest 111111111111"
    sha = hashlib.sha256((image[0] / MANIFEST).read_bytes()).hexdigest()
    assert tree.opened(*image).subject.sha256 == sha


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lambda root: (root / "ü.txt").write_text("y"), {("CODE-01", "ü.txt")}),
        (lambda root: (root / "ü.txt").unlink(), {("CODE-02", "ü.txt")}),
        (lambda root: (root / "run").chmod(0o644), {("CODE-03", "run")}),
        (relinked, {("CODE-01", "link")}),
        (wrote("pkg/more.py"), {("CODE-04", "pkg/more.py")}),
        (wrote("sub/code.manifest"), {("CODE-05", "sub/")}),
        (lambda root: (root / MANIFEST).write_bytes(b""), {("CODE-07", "manifest"), ("CODE-09", "HEAD")}),
        (
            lambda root: (root / MANIFEST).write_bytes(listed(root, UnsafeLocalKeys(root.parent / "others"))),
            {("CODE-07", "manifest"), ("CODE-09", "HEAD")},
        ),
    ],
)
def test_a_folder_that_is_not_its_list_is_told(
    image: tuple[Path, Limits], spoil: Callable[[Path], Any], told: set[tuple[str, str]]
) -> None:
    spoil(image[0])
    assert found(*image) == told


def test_a_list_for_another_commit_or_policy_is_told(image: tuple[Path, Limits], tmp_path: Path) -> None:
    root, limits = image
    assert found(root, limits | {"commit": "2" * 40}) == {("CODE-09", "HEAD")}
    assert found(root, limits | {"since": "2" * 40}) == {("CODE-09", "2" * 12)}
    other = UnsafeLocalKeys(tmp_path / "others").public("owner").pem.decode()
    seen = observe(GATE, tree.opened(root, limits), limits)
    told = judge(GATE, seen, limits | {"manifests": [other]})
    assert [(each.rule, each.place) for each in told.findings] == [("CODE-08", "manifest")]


def _said(**more: Any) -> dict[str, Any]:
    told = {"commit": "", "run": [], "link": []}
    return {
        "_type": STATEMENT,
        "predicateType": manifest.KIND,
        "subject": [{"name": "a", "digest": {"sha256": SHA}}],
        "predicate": told,
    } | more


@pytest.mark.parametrize(
    "more",
    [
        {"predicateType": "https://example.org/else"},
        {"predicate": {"commit": "", "run": []}},
        {"predicate": {"commit": "", "run": ["b"], "link": []}},
        {"predicate": {"commit": "", "run": ["a"], "link": ["a"]}},
        {"predicate": None},
        {"subject": []},
        {"subject": [{"name": "a"}]},
        {"subject": [{"name": MANIFEST, "digest": {"sha256": SHA}}]},
        {"subject": [{"name": "a", "digest": {"sha256": SHA}}] * 2},
    ],
)
def test_a_list_of_another_form_is_none(more: dict[str, Any]) -> None:
    assert manifest.read(_said()) == ("", [Listed("a", 0o100644, SHA)])
    with pytest.raises(KeyBroken, match="a statement of another kind|a list of files"):
        manifest.read(_said(**more))


def test_a_list_is_signed_by_one_of_the_keys(tmp_path: Path) -> None:
    keys = UnsafeLocalKeys(tmp_path)
    envelope = sealed([Listed("a", 0o100755, SHA), Listed("b", 0o120000, SHA)], "1" * 40, keys.signer("owner"))
    pems = [keys.public(role).pem for role in ("producer", "owner")]
    assert manifest.opened(envelope, pems) == (
        keys.public("owner").id,
        "1" * 40,
        [Listed("a", 0o100755, SHA), Listed("b", 0o120000, SHA)],
    )
    for given in ([], pems[:1], [b"no key"]):
        with pytest.raises(KeyBroken, match="cannot be believed"):
            manifest.opened(envelope, given)
    other = seal("https://example.org/else", {"a": SHA}, {}, keys.signer("owner"))
    with pytest.raises(KeyBroken, match="another kind"):
        manifest.opened(other, pems)


def test_a_list_that_is_too_long_is_not_read(image: tuple[Path, Limits], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tree, "LONGEST", 10)
    with pytest.raises(tree.BadInput, match="allowed: at most 10"):
        tree.opened(*image)
