"""A real registry: what is pushed comes back byte for byte, with any tool; and nothing that it says is believed."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from security.errors import LogBroken, Refused, SluiceError, StoreError
from security.keys import UnsafeLocalKeys
from security.models import statement
from security.models.belief import entry
from security.models.chain import Keys
from tasks import chains, models, remote
from tasks.home import Home
from tasks.layout import Layout
from tasks.remote import Registry, pull, push
from tests.security.models.chains import History, keys, sha
from tests.security.models.making import Model, model
from tests.tasks.distribution import Distribution, absent

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Distribution]:
    if lacks := absent():
        pytest.skip(
            f"no {', '.join(lacks)}: nothing is shown on a real registry; install it (Debian: {' '.join(lacks)})"
        )
    with Distribution(tmp_path_factory.mktemp("registry")) as running:
        yield running


@pytest.fixture
def there(server: Distribution) -> Iterator[Registry]:
    """The registry, empty."""
    yield Registry(server.address, unsafe_http=True)
    shutil.rmtree(server.folder / "storage", ignore_errors=True)


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> UnsafeLocalKeys:
    return UnsafeLocalKeys(tmp_path_factory.mktemp("remote") / "keys")


@pytest.fixture(scope="module")
def trusted(local: UnsafeLocalKeys) -> Keys:
    return keys(local)


@pytest.fixture(scope="module")
def made(local: UnsafeLocalKeys, tmp_path_factory: pytest.TempPathFactory) -> list[Model]:
    folder = tmp_path_factory.mktemp("models")
    return [model(folder / str(version), local, version=version) for version in (3, 4, 5)]


@pytest.fixture
def here(tmp_path: Path, local: UnsafeLocalKeys, trusted: Keys, made: list[Model]) -> Home:
    """A home with versions 3, in production, and 4, the candidate."""
    home = Home(tmp_path / "here")
    for each in made[:2]:
        models.enter(home, each.files, each.attached, local.signer("producer"), trusted, "all gates passed")
        if each is made[0]:
            verifier = local.signer("verifier")
            chains.move(home, verifier, trusted, "sample", "approved", 3, reason="the log verifies")
            chains.move(home, verifier, trusted, "sample", "production", 3, reason="the log verifies", log=sha(7))
    return home


@pytest.fixture
def other(tmp_path: Path) -> Home:
    return Home(tmp_path / "other")


def manifest(home: Home, trusted: Keys, version: int) -> str:
    return chains.standing(home, "sample", trusted).row(version).claim.manifest


def skopeo(*arguments: str) -> bytes:
    ended = subprocess.run(["skopeo", *arguments], capture_output=True, timeout=60, check=True)
    return ended.stdout


def test_what_is_pushed_comes_back_and_holds(
    here: Home, other: Home, there: Registry, trusted: Keys, made: list[Model]
) -> None:
    assert push(here, "sample", there, trusted) == [3, 4]
    assert push(here, "sample", there, trusted) == [3, 4]  # the same again changes nothing
    assert pull(other, "sample", there, trusted) == [3, 4]
    for version, each in zip((3, 4), made, strict=False):
        found = models.stored(other, "sample", version, trusted)
        assert (found.files, found.attached) == (each.files, each.attached)
        assert models.verified(other, "sample", version, trusted).claim.version == version
    assert chains.standing(other, "sample", trusted) == chains.standing(here, "sample", trusted)
    assert pull(other, "sample", there, trusted, version=4) == [4]
    tags = json.loads((models.layout(other).root / "index.json").read_bytes())["manifests"]
    assert [each["annotations"]["org.opencontainers.image.ref.name"] for each in tags] == ["sample-3", "sample-4"]


def test_skopeo_reads_it_back_by_itself(
    here: Home, there: Registry, trusted: Keys, made: list[Model], tmp_path: Path
) -> None:
    push(here, "sample", there, trusted)
    where = f"docker://{there.address}/sample"
    tags = json.loads(skopeo("list-tags", "--tls-verify=false", where))["Tags"]
    assert sorted(tags) == ["3", "4", "chain"]
    raw = skopeo("inspect", "--raw", "--tls-verify=false", f"{where}:3")
    assert raw == models.layout(here).path(manifest(here, trusted, 3)).read_bytes()
    assert skopeo("inspect", "--config", "--raw", "--tls-verify=false", f"{where}:3") == made[0].files["model.json"]
    to = tmp_path / "copied"
    skopeo("--insecure-policy", "copy", "--src-tls-verify=false", f"{where}:3", f"oci:{to}:x")
    found = Layout(to).model(manifest(here, trusted, 3))
    assert (found.files, found.attached) == (made[0].files, made[0].attached)
    # and from the layout on disk, where no registry is
    skopeo("--insecure-policy", "copy", f"oci:{models.layout(here).root}:sample-4", f"oci:{tmp_path / 'more'}:x")
    assert Layout(tmp_path / "more").model(manifest(here, trusted, 4)).files == made[1].files


def test_a_version_there_is_never_replaced(here: Home, there: Registry, server: Distribution, trusted: Keys) -> None:
    push(here, "sample", there, trusted)
    fourth = manifest(here, trusted, 4)
    server.tag("sample", "3").write_text(f"sha256:{fourth}")
    with pytest.raises(StoreError, match="sample:3: is another model there; a version is never replaced"):
        push(here, "sample", there, trusted)


def test_what_was_altered_there_is_not_taken(
    here: Home, other: Home, there: Registry, server: Distribution, trusted: Keys, made: list[Model]
) -> None:
    push(here, "sample", there, trusted)
    blobs = models.stored(here, "sample", 3, trusted).manifest.blobs
    for each in (blobs[-1], next(b for b in blobs if b.title == "model.safetensors")):
        path = server.blob(each.sha256)
        good = path.read_bytes()
        path.write_bytes(good[:-1] + b"!")
        with pytest.raises(SluiceError):
            pull(other, "sample", there, trusted)
        path.write_bytes(good)
    path = server.blob(manifest(here, trusted, 3))
    good = path.read_bytes()
    path.write_bytes(good.replace(b"model.safetensors", b"model.safetensor2"))
    with pytest.raises(SluiceError):
        pull(other, "sample", there, trusted)
    path.write_bytes(good)
    assert chains.there(other, "sample") == []
    assert pull(other, "sample", there, trusted) == [3, 4]


def test_a_tool_that_lies_is_not_believed(
    here: Home, other: Home, there: Registry, trusted: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The digests are ours to check, whatever skopeo says."""
    push(here, "sample", there, trusted)
    fetch = Registry.fetch

    def lying(self: Registry, name: str, digest: str, to: Layout) -> None:
        fetch(self, name, digest, to)
        largest = max(to.blobs.iterdir(), key=lambda path: path.stat().st_size)
        largest.write_bytes(largest.read_bytes()[:-1] + b"!")

    monkeypatch.setattr(Registry, "fetch", lying)
    with pytest.raises(StoreError, match="other bytes than its digest"):
        pull(other, "sample", there, trusted)
    assert not (other.root / "chains" / "sample").exists()
    monkeypatch.setattr(Registry, "fetch", lambda *_: None)
    with pytest.raises(StoreError, match="cannot be read"):
        pull(other, "sample", there, trusted)
    monkeypatch.setattr(Registry, "raw", lambda *_: b"{}")
    with pytest.raises(LogBroken, match="what was sent is no chain"):
        pull(other, "sample", there, trusted)
    with pytest.raises(LogBroken, match="what was sent is no chain"):
        push(here, "sample", there, trusted)


def test_an_older_end_is_told_where_somebody_knows_better(
    here: Home,
    other: Home,
    there: Registry,
    server: Distribution,
    trusted: Keys,
    local: UnsafeLocalKeys,
    made: list[Model],
) -> None:
    push(here, "sample", there, trusted)
    older = server.tag("sample", "chain").read_text()
    models.enter(here, made[2].files, made[2].attached, local.signer("producer"), trusted, "all gates passed")
    push(here, "sample", there, trusted)
    head = chains.standing(here, "sample", trusted).head
    server.tag("sample", "chain").write_text(older)
    with pytest.raises(LogBroken, match="cut off: entry .* was there, and is gone"):
        pull(other, "sample", there, trusted, known=[head])
    assert pull(here, "sample", there, trusted) == [3, 5]  # who has the newer end keeps it
    assert chains.standing(here, "sample", trusted).head == head
    assert pull(other, "sample", there, trusted) == [3, 4]  # who knows of none cannot tell
    server.tag("sample", "chain").write_text(older)
    assert push(here, "sample", there, trusted) == [3, 4, 5]
    assert pull(other, "sample", there, trusted) == [3, 5]


def test_a_fork_is_refused_on_both_ways(
    here: Home, other: Home, there: Registry, trusted: Keys, local: UnsafeLocalKeys, made: list[Model]
) -> None:
    push(here, "sample", there, trusted)
    pull(other, "sample", there, trusted)
    producer, verifier = local.signer("producer"), local.signer("verifier")
    chains.move(other, verifier, trusted, "sample", "approved", 4, reason="the log verifies")
    models.enter(here, made[2].files, made[2].attached, producer, trusted, "all gates passed")
    push(here, "sample", there, trusted)
    for act in (push, pull):
        with pytest.raises(LogBroken, match="forked at entry|pull first"):
            act(other, "sample", there, trusted)
    for _ in range(2):
        chains.move(other, verifier, trusted, "sample", "production", 4, reason="the log verifies", log=sha(8))
    assert len(chains.there(other, "sample")) > len(chains.there(here, "sample"))  # and the longer one does not win
    for act in (push, pull):
        with pytest.raises(LogBroken, match="sample: forked at entry"):
            act(other, "sample", there, trusted)
    assert chains.standing(other, "sample", trusted).newest == 4


def test_revocations_go_first_and_are_kept(
    here: Home, other: Home, there: Registry, trusted: Keys, local: UnsafeLocalKeys
) -> None:
    push(here, "sample", there, trusted)
    pull(other, "sample", there, trusted)
    third = manifest(here, trusted, 3)
    owner = local.signer("owner")
    chains.revoke(here, owner, trusted, what="model", target=third, name="sample", version=3, reason="it leaked")
    assert push(here, "sample", there, trusted) == [4]
    with pytest.raises(Refused, match="version 3 is revoked: it leaked"):
        pull(other, "sample", there, trusted, version=3)
    with pytest.raises(Refused, match="production names nothing: version 3 is revoked"):
        chains.standing(other, "sample", trusted).at("production")
    with pytest.raises(Refused, match="is revoked"):
        models.verified(other, "sample", 3, trusted)
    chains.revoke(here, owner, trusted, what="data", target=sha(1), reason="not ours")
    push(here, "sample", there, trusted)
    chains.revoke(other, owner, trusted, what="data", target=sha(2), reason="not ours")
    with pytest.raises(LogBroken, match="revoked: forked at entry 2"):
        push(other, "sample", there, trusted)


def test_what_is_not_believed_here_is_not_sent(
    here: Home, there: Registry, trusted: Keys, local: UnsafeLocalKeys, made: list[Model]
) -> None:
    """A version that the producer entered, and whose statement is another's."""
    odd = Model(made[2].files, {**made[2].attached, "provenance.dsse": made[1].attached["provenance.dsse"]})
    sha_ = models.layout(here).keep(odd.files, odd.attached)
    key = local.public("producer")
    claim = statement.check(made[2].attached["statement.dsse"], made[2].files, made[2].without, key)
    chains.enter(here, local.signer("producer"), trusted, **entry(sha_, claim))
    with pytest.raises(LogBroken, match="what is attached to the model is not what its statement names"):
        push(here, "sample", there, trusted)
    assert there.raw("sample", "5") is None
    assert there.raw("sample", "chain") is None


def test_keys_that_were_not_brought_do_not_count(
    here: Home, other: Home, there: Registry, trusted: Keys, tmp_path: Path
) -> None:
    push(here, "sample", there, trusted)
    with pytest.raises(LogBroken, match="whose key was not given"):
        pull(other, "sample", there, keys(UnsafeLocalKeys(tmp_path / "strange")))
    assert not (other.root / "chains").exists()
    assert not (other.root / "models").exists()


def test_what_a_stranger_revokes_is_not_kept(
    here: Home, other: Home, there: Registry, trusted: Keys, tmp_path: Path
) -> None:
    push(here, "sample", there, trusted)
    remote._send(there, "revoked", History(UnsafeLocalKeys(tmp_path / "strange")).revoke("data", sha(1)).gone)
    with pytest.raises(LogBroken, match="revoked, entry 1: signed by .* whose key was not given"):
        pull(other, "sample", there, trusted)
    assert not (other.root / "chains").exists()


def test_what_is_not_there_is_told(
    here: Home, other: Home, there: Registry, trusted: Keys, server: Distribution
) -> None:
    with pytest.raises(StoreError, match="sample: the registry has no chain of it"):
        pull(other, "sample", there, trusted)
    with pytest.raises(StoreError, match="other: no version was entered"):
        push(here, "other", there, trusted)
    with pytest.raises(StoreError, match="did not answer"):  # TLS is asked for where nobody says otherwise
        pull(other, "sample", Registry(there.address), trusted)
    with pytest.raises(StoreError, match="did not answer"):
        push(here, "sample", Registry("127.0.0.1:9", unsafe_http=True), trusted)


@pytest.mark.parametrize(
    "address", ["", "-x", "https://a.test", "a.test/x@y", "a.test/../x", "a b", "A.test", "a.test/"]
)
def test_an_address_is_one(address: str) -> None:
    with pytest.raises(StoreError, match="is no registry"):
        Registry(address)


def test_without_skopeo(here: Home, trusted: Keys, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(StoreError, match="there is no skopeo"):
        push(here, "sample", Registry("a.test"), trusted)


def test_skopeo_gets_no_more_of_the_environment_than_it_needs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    program = tmp_path / "skopeo"
    program.write_text("#!/bin/sh\nenv\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setenv("SECRET", "hunter2")
    monkeypatch.setenv("CONTAINERS_REGISTRIES_CONF", "/elsewhere")
    told = Registry("a.test").raw("sample", "3") or b""
    assert b"PATH=" in told
    assert not any(name in told for name in (b"SECRET", b"CONTAINERS_"))


def test_what_was_sent_is_asked_for_again(
    here: Home, there: Registry, trusted: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of two who push at once one finds that the tag is the other's."""
    raw, sends, others = Registry.raw, list[str](), list[bytes | None]()

    def late(self: Registry, name: str, tag: str) -> bytes | None:
        return others[0] if sends else raw(self, name, tag)

    send = remote.Registry._skopeo

    def noted(self: Registry, *arguments: str) -> Any:
        sends.extend(arguments[:1] if arguments[0] == "copy" else ())
        return send(self, *arguments)

    monkeypatch.setattr(Registry, "raw", late)
    monkeypatch.setattr(Registry, "_skopeo", noted)
    for odd in (b"{}", None):
        sends.clear()
        others[:] = [odd]
        with pytest.raises(StoreError, match="what is there now is not what was sent; somebody else"):
            push(here, "sample", there, trusted)


def test_a_copy_that_fails_is_told(there: Registry, tmp_path: Path) -> None:
    empty = Layout(tmp_path / "empty")
    with pytest.raises(StoreError, match="sample:3: was not taken: "):
        there.send(empty, "sample", "3", sha(1))
    with pytest.raises(StoreError, match="sample@0{11}.: was not sent: "):
        there.fetch("sample", sha(1), empty)


def test_what_a_tool_says_is_one_line() -> None:
    said: Any = remote._last("one\n\n two \x1b[31m red  \n")
    assert said == "two [31m red"
