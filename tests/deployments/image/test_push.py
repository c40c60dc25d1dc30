"""An image on its way to a registry: Debian's docker-registry, through wires that are cut and fronts that refuse."""

import hashlib
import json
import shutil
import subprocess
import tracemalloc
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from deployments.image import push
from deployments.image.assemble import endorsed, written
from deployments.image.push import Pushed, pushed
from deployments.image.store import Store
from security.engines.login import Login, Place
from security.errors import BadInput, StoreError
from security.gate import judge, observe
from security.gates.image import Facts, ImageVulnerabilityScanning, signed
from security.inventory import layout, made
from security.inventory.layers import Blob
from security.keys import seal
from tasks import image
from tasks.home import Home
from tests.deployments.image.relay import Relay
from tests.security.gates import images
from tests.security.gates.images import CONFIG, KEY
from tests.tasks.distribution import Distribution, absent
from tests.tasks.guard import Guard, Tokens, Told, no, serving
from tests.tasks.test_image import LIMITS, lay

pytestmark = pytest.mark.real
GATE = ImageVulnerabilityScanning()
LAYER = b"a layer that is not small " * 40_000


@pytest.fixture(autouse=True)
def _parts() -> None:
    if lacks := absent():
        pytest.skip(f"no {', '.join(lacks)}: nothing is pushed to a real registry; install it")


@pytest.fixture
def folder(tmp_path: Path) -> tuple[Path, str]:
    """A layout with an image, signed and attested."""
    return tmp_path / "oci", lay(tmp_path / "oci").sha256


def sent(folder: tuple[Path, str], address: str, login: Login | None = None, **more: Any) -> Pushed:
    place = Place(f"{address}/team/serving", "", "UnsafeHttp", more.pop("tokens", ""))
    return pushed(*folder, place, login, sleep=lambda _: None, **more)


def tags(address: str) -> list[str]:
    told = httpx.get(f"http://{address}/v2/team/serving/tags/list").json()
    return sorted(told.get("tags") or [])


def there(address: str, sha: str) -> int:
    return httpx.get(
        f"http://{address}/v2/team/serving/manifests/sha256:{sha}", headers={"accept": made.MANIFEST}
    ).status_code


def copied(address: str, sha: str, to: Path) -> Path:
    """The image, and what is said about it, as skopeo has them from a registry."""
    spelled = [f"@sha256:{sha}", *(f":sha256-{sha}{end}" for end in push.ENDS)]
    for each, tag in zip(spelled, ("serving", *(each[1:] for each in spelled[1:])), strict=True):
        from_ = f"docker://{address}/team/serving{each}"
        subprocess.run(
            ["skopeo", "copy", "--preserve-digests", "--src-tls-verify=false", from_, f"oci:{to}:{tag}"],
            check=True,
            capture_output=True,
        )
    return to


def test_it_is_there_as_it_was_and_the_gate_says_the_same_of_it(folder: tuple[Path, str], tmp_path: Path) -> None:
    (root, sha), lock = folder, tmp_path / "own.lock"
    lock.write_text("".join(f"{name}=={at} --hash=sha256:{'a' * 64}\n" for name, at in images.LOCK.items()))
    with Distribution(tmp_path) as server:
        first = sent(folder, server.address)
        assert first.reference == f"{server.address}/team/serving@sha256:{sha}"
        assert (first.sent, first.there) == (6, 1)  # what bill and payload have for a config is the same
        assert tags(server.address) == [f"sha256-{sha}.att", f"sha256-{sha}.sig"]
        again = sent(folder, server.address)
        assert (again.sent, again.there, again.size) == (0, 3, 0)
        back = copied(server.address, sha, tmp_path / "back")
    names = {path.name for path in (root / "blobs" / "sha256").iterdir()}
    assert {path.name for path in (back / "blobs" / "sha256").iterdir()} == names
    assert layout.opened(back, sha).manifest == layout.opened(root, sha).manifest
    reference = f"serving@sha256:{sha}"  # for which it was signed
    seen = [
        observe(GATE, image.image(Home(tmp_path), lock, each, reference, [KEY.public], root=tmp_path), LIMITS)
        for each in (root, back)
    ]
    built = [Facts.model_validate(each.facts).built for each in seen]
    assert built[0] == built[1]
    assert built[1] is not None
    assert (built[1].signed, [each.keys for each in built[1].bills]) == ((KEY.public.id,), [(KEY.public.id,)])
    assert judge(GATE, seen[1], LIMITS).findings == ()


def test_what_others_have_said_stays(folder: tuple[Path, str], tmp_path: Path) -> None:
    root, sha = folder
    with Distribution(tmp_path) as server:
        sent(folder, server.address)
        store, here = Store(root), layout.opened(root, sha)
        store.listed = [each for each in layout.listed(root) if not push._tag(each).endswith(".sig")]
        endorsed(made.Made(here.manifest, here.config, here.layers), store, KEY, "another")
        sent(folder, server.address)
        assert sent(folder, server.address).sent == 0
        back = copied(server.address, sha, tmp_path / "back")
        assert [kind for kind, _ in layout.opened(back, sha).said] == ["signature", "signature", "attestation"]
        url = f"http://{server.address}/v2/team/serving/manifests/sha256-{sha}.sig"
        other = layout.opened(root, sha).manifest
        assert httpx.put(url, content=other, headers={"content-type": made.MANIFEST}).status_code == 201
        with pytest.raises(StoreError, match=r"sig: what is there already is no manifest of .*; have it removed"):
            sent(folder, server.address)


def big(folder: Path) -> tuple[Path, str]:
    """A signed image with a layer of its own size."""
    here = made.image([made.blob(LAYER)], CONFIG)
    store = Store(folder)
    written(here, store)
    store.attach(here.sha256, ".att", layout.ENVELOPE, seal(signed.CYCLONEDX, {"x": here.sha256}, {}, KEY), {})
    endorsed(here, store, KEY, "")
    return folder, here.sha256


@pytest.mark.parametrize("after", [0, 1_000, 500_000])
def test_a_wire_that_is_cut_once_is_no_matter(tmp_path: Path, after: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(push, "PIECE", 100_000)
    told = big(tmp_path / "oci")
    with Distribution(tmp_path) as server, Relay(server.address, after, after) as relay:
        sent(told, relay.address)
        assert relay.cut == 2
        assert len(tags(server.address)) == 2
        assert server.blob(hashlib.sha256(LAYER).hexdigest()).read_bytes() == LAYER


@pytest.mark.parametrize("after", [0, 500_000, 1_000_000])
def test_a_wire_that_is_cut_for_good_is_one_error_and_nothing_is_named(
    tmp_path: Path, after: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(push, "PIECE", 100_000)
    told = big(tmp_path / "oci")
    with Distribution(tmp_path) as server, Relay(server.address, after, ever=True) as relay:
        with pytest.raises(StoreError) as why:
            sent(told, relay.address)
        assert f"{relay.address}/team/serving@sha256:{told[1]} was not pushed: blob " in str(why.value)
        assert str(why.value).endswith("; tried 4 times")
        assert relay.cut >= 4
        assert (tags(server.address), there(server.address, told[1])) == ([], 404)


class Moody:
    """A front that answers some requests itself: `METHOD PART` of the path -> what, so many times."""

    def __init__(self, behind: str, on: str, times: int, told: Told) -> None:
        self.behind, self.on, self.left, self.told, self.asked = behind, on.split(" "), times, told, list[str]()

    def answer(self, method: str, path: str, headers: dict[str, str], body: bytes) -> Told:
        self.asked.append(f"{method} {path}")
        if method == self.on[0] and self.on[1] in path and self.left:
            self.left -= 1
            return self.told
        heads = {name.lower(): value for name, value in headers.items()}
        kept = {name: heads[name] for name in ("host", "accept", "content-type", "content-range") if name in heads}
        reply = httpx.request(method, f"http://{self.behind}{path}", headers=kept, content=body, trust_env=False)
        return reply.status_code, dict(reply.headers), reply.content


PLACES = ["HEAD /blobs/", "POST /uploads/", "PATCH /uploads/", "PUT /uploads/", "PUT /manifests/sha256:", "PUT .att"]


@pytest.mark.parametrize("on", PLACES)
@pytest.mark.parametrize("status", [429, 503])
def test_a_registry_that_is_busy_is_asked_again_but_not_for_ever(
    folder: tuple[Path, str], tmp_path: Path, on: str, status: int
) -> None:
    told, slept = no(status, "TOOMANYREQUESTS", Retry_After="7"), list[float]()
    place = partial(Place, name="", scheme="UnsafeHttp")
    says = rf"was not pushed: .*: the registry answered {status}( TOOMANYREQUESTS)?; tried 4 times"
    with Distribution(tmp_path) as server:
        with serving(Moody(server.address, on, 99, told)) as at, pytest.raises(StoreError, match=says):
            pushed(*folder, place(f"{at}/team/serving"), sleep=slept.append)
        assert slept == [7.0, 7.0, 7.0]
        assert tags(server.address) == []
        assert there(server.address, folder[1]) == (200 if on == "PUT .att" else 404)
        with serving(Moody(server.address, on, 3, told)) as at:
            pushed(*folder, place(f"{at}/team/serving"), sleep=slept.append)
        assert len(tags(server.address)) == 2


def test_a_registry_that_takes_something_else_is_not_believed(folder: tuple[Path, str], tmp_path: Path) -> None:
    other = {"Docker-Content-Digest": f"sha256:{'0' * 64}"}
    part = {"Range": "0-1", "Location": "/v2/team/serving/blobs/uploads/1"}
    for on, told, says in (
        ("HEAD /blobs/", (200, other, b""), "the registry took 'sha256:000000000000'; allowed: what was sent"),
        ("PUT /uploads/", (201, other, b""), "the registry took 'sha256:000000000000'; allowed: what was sent"),
        ("PUT /manifests/", (201, other, b""), "the registry took 'sha256:000000000000'; allowed: what was sent"),
        ("PUT /manifests/", (201, {}, b""), "the registry answered 404 MANIFEST_UNKNOWN; allowed: 200"),
        ("GET /manifests/sha256:", (200, {}, b"{}"), "what is there now is not what was sent"),
        ("PATCH /uploads/", (202, part, b""), "the registry took another part than was sent; tried 4 times"),
        ("POST /uploads/", (202, {}, b""), "does not say where an upload goes on; tried 4 times"),
        ("POST /uploads/", (202, {"Location": "http://else.example/x"}, b""), "sends elsewhere; allowed: its own host"),
        ("HEAD /blobs/", (307, {"Location": "/elsewhere"}, b""), "no redirect is followed"),
        ("POST /uploads/", no(403, "DENIED"), "the registry answered 403 DENIED; allowed: 202"),
        ("GET .att", (200, {}, b"[]"), "is no manifest of application/vnd.dsse"),
    ):
        storage = tmp_path / hashlib.sha256(f"{on}{says}".encode()).hexdigest()[:8]
        storage.mkdir()
        with Distribution(storage) as server, serving(Moody(server.address, on, 99, told)) as at:  # type: ignore[arg-type]
            with pytest.raises(StoreError) as why:
                sent(folder, at)
            assert says in str(why.value), on
            assert tags(server.address) == []


def test_what_is_damaged_here_is_not_sent(tmp_path: Path) -> None:
    root, sha = big(tmp_path / "oci")
    with Distribution(tmp_path) as server:
        with pytest.raises(BadInput, match="without 000000000000"):
            sent((root, "0" * 64), server.address)
        path = root / "blobs" / "sha256" / hashlib.sha256(LAYER).hexdigest()
        path.chmod(0o644)
        path.write_bytes(LAYER[:-1])
        with pytest.raises(StoreError, match=r"blob .*: found SHA-256 .*; allowed: its own"):
            sent((root, sha), server.address)
        assert (tags(server.address), there(server.address, sha)) == ([], 404)


def test_the_login_is_that_of_the_registry(folder: tuple[Path, str], tmp_path: Path) -> None:
    for one in ("guard", "tokens"):
        (tmp_path / one).mkdir()
    with Distribution(tmp_path / "guard") as server:
        front = Guard(server.address)
        with serving(front) as at:
            with pytest.raises(StoreError, match="the registry answered 401; allowed: 200 or 404"):
                sent(folder, at)
            sent(folder, at, front.login)
        assert len(tags(server.address)) == 2
    tokens = Tokens(tmp_path, "pull", "push")
    with serving(tokens) as at, Distribution(tmp_path / "tokens", tokens.configured(at)) as server:
        with pytest.raises(StoreError, match="the credentials sent to http on another host"):
            sent(folder, server.address, tokens.login)
        assert tokens.asked == []
        assert sent(folder, server.address, tokens.login, tokens=at).sent == 6
        few = len(tokens.asked)
        assert sent(folder, server.address, tokens.login, tokens=at).sent == 0
        assert len(tokens.asked) - few < 6  # one token for all that is asked after it
        tokens.actions = ("pull",)
        shutil.rmtree(tmp_path / "oci")
        other = big(tmp_path / "oci")
        with pytest.raises(StoreError, match="the registry answered 401"):
            sent(other, server.address, tokens.login, tokens=at)


def test_a_large_layer_is_not_held_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(push, "PIECE", 1 << 20)
    piece, count = b"\0" * (1 << 18), 256
    sum_ = hashlib.sha256(piece * count).hexdigest()

    def zeros() -> Iterator[bytes]:
        return (piece for _ in range(count))

    layer = Blob(made.LAYER, sum_, len(piece) * count, sum_, zeros)
    here = made.image([layer], CONFIG)
    written(here, Store(tmp_path / "oci"))
    with Distribution(tmp_path) as server:
        tracemalloc.start()
        told = sent((tmp_path / "oci", here.sha256), server.address)
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert told.size == len(piece) * count + len(here.config)
    assert most < 24 << 20  # what a manifest may have is 16 of it
    assert json.loads(here.manifest)["layers"][0]["size"] == len(piece) * count
