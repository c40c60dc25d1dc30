"""Layers: whiteouts, links, digests, and archives that lie."""

import gzip
import hashlib
import io
import tarfile
from collections.abc import Callable, Mapping

import pytest
from backports import zstd
from hypothesis import given, settings
from hypothesis import strategies as st

from security.errors import CannotTell
from security.inventory import Node, Tree, layers, made
from security.inventory.layers import Blob, Laid, chains, lay

GZIP = "application/vnd.oci.image.layer.v1.tar+gzip"
ZSTD = "application/vnd.oci.image.layer.v1.tar+zstd"


def file(text: str = "x", mode: int = 0o644) -> Node:
    return Node("file", mode, data=text.encode())


Entry = tuple[tarfile.TarInfo, bytes]


def entry(name: str, kind: bytes = tarfile.REGTYPE, link: str = "", data: bytes = b"", **more: object) -> Entry:
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.size = kind, link, len(data)
    for key, value in more.items():
        setattr(info, key, value)
    return info, data


def tar(*members: Entry) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tarred:
        for info, data in members:
            tarred.addfile(info, io.BytesIO(data))
    return out.getvalue()


def over(*told: Mapping[str, Node] | bytes | Blob, seen: list[str] | None = None) -> Laid:
    held = Laid()
    for number, each in enumerate(told, 1):
        data = each if isinstance(each, bytes) else made.layer(each) if isinstance(each, Mapping) else None
        blob = made.blob(data) if data is not None else each
        assert isinstance(blob, Blob)
        lay(held, number, blob, lambda name, chunks: (seen if seen is not None else []).append(name))
    return held


def paths(tree: Tree) -> list[str]:
    return [path for path, _ in tree.files()]


def test_a_whiteout_takes_from_the_layers_below_alone() -> None:
    low = {"a/one": file(), "a/two": file(), "b/three": file()}
    assert paths(over(low, {"a/.wh.one": file("")}).tree) == ["a/two", "b/three"]
    assert paths(over(low, {"a/.wh.one": file(""), "a/one": file("new")}).tree) == ["a/one", "a/two", "b/three"]
    assert paths(over(low, {"a/.wh..wh..opq": file(""), "a/new": file()}).tree) == ["a/new", "b/three"]
    assert paths(over(low, {".wh.a": file("")}).tree) == ["b/three"]
    assert paths(over(low, {"a": file()}).tree) == ["a", "b/three"]
    assert paths(over(low, {".wh..wh..opq": file("")}).tree) == []


def test_every_layers_files_are_shown_also_those_that_are_deleted() -> None:
    seen: list[str] = []
    over({"a": file()}, {"a": file("2")}, {".wh.a": file("")}, seen=seen)
    assert seen == ["layer 1: a", "layer 2: a"]


def test_a_file_goes_where_links_below_it_lead_and_never_out() -> None:
    low = {"bin": Node("link", target="usr/bin"), "usr/bin/a": file(), "out": Node("link", target="../../etc")}
    held = over(low, tar(entry("bin/b", data=b"x"), entry("out/c", data=b"x")))
    assert paths(held.tree) == ["etc/c", "usr/bin/a", "usr/bin/b"]
    assert held.tree.resolve("bin/../../x") == "usr/x"[4:]
    round_ = over({"x": Node("link", target="y"), "y": Node("link", target="x")})
    assert round_.tree.resolve("x/z") is None
    assert over({"x": Node("link", target="x")}, tar(entry("x/z", data=b"x"))).broken
    assert paths(over(low, {"bin/b": file()}).tree) == ["bin/b", "usr/bin/a"]  # it says that `bin` is a folder


@pytest.mark.parametrize("name", ["/etc/passwd", "../x", "a/../../x", "a/../b", "x" * 5000])
def test_a_path_that_tricks_is_broken_and_left_out(name: str) -> None:
    held = over(tar(entry(name, data=b"x"), entry("good", data=b"x")))
    assert paths(held.tree) == ["good"]
    assert [place for place, _ in held.broken] == ["layer 1"]


def test_a_hard_link_is_its_file_and_to_nothing_is_broken() -> None:
    held = over(
        tar(entry("a", data=b"x", mode=0o4755), entry("b", tarfile.LNKTYPE, "a"), entry("c", tarfile.LNKTYPE, "no"))
    )
    assert held.tree.nodes["b"].mode == 0o4755
    assert len(held.broken) == 1


def test_what_stands_after_the_end_of_an_archive_is_broken() -> None:
    """One reader of archives stops at two empty blocks, or at a header that is none; another goes on."""
    one, hidden = tar(entry("a", data=b"x")), tar(entry("hidden", data=b"y"))
    for data in (one + hidden, one + b"tail", tar(entry("a", data=b"x"))[:1024] + b"\x01" * 512 + hidden):
        held = over(data)
        assert paths(held.tree) == ["a"]
        assert held.broken, data[-20:]
    assert not over(one + b"\0" * 4096).broken


@pytest.mark.parametrize("data", [b"", b"no archive", b"\x1f\x8b" + b"x" * 600, b"\0" * 100])
def test_what_is_no_archive_is_broken(data: bytes) -> None:
    held = over(data)
    assert paths(held.tree) == []
    assert held.broken or not data.strip(b"\0")


def test_a_cut_archive_is_broken() -> None:
    whole = tar(entry("a", data=b"x" * 3000), entry("b", data=b"y" * 3000))
    for cut in (700, 2000, 4000, 5000):
        assert over(whole[:cut]).broken, cut


@pytest.mark.parametrize(("kind", "pack"), [(GZIP, gzip.compress), (ZSTD, zstd.compress)])
def test_a_packed_layer_has_two_digests(kind: str, pack: Callable[[bytes], bytes]) -> None:
    plain = made.layer({"a": file("hello")})
    packed = pack(plain)
    sha, diff = (hashlib.sha256(data).hexdigest() for data in (packed, plain))
    good = Blob(kind, sha, len(packed), diff, lambda: (packed[:10], packed[10:]))
    held = over(good)
    assert (paths(held.tree), held.broken, held.diffs) == (["a"], [], [diff])
    for bad in (
        good._replace(diff=sha),
        good._replace(sha256=diff),
        good._replace(size=1),
        good._replace(kind=made.LAYER),
        good._replace(chunks=lambda: (packed[:-9],)),
        good._replace(chunks=lambda: (packed, b"more")),
    ):
        assert over(bad).broken, bad


def test_a_layer_of_another_kind_is_hashed_all_the_same() -> None:
    plain = made.layer({"a": file("hello")})
    sha = hashlib.sha256(plain).hexdigest()
    said = [sentence for _, sentence in over(Blob("text/plain", sha, len(plain), sha, lambda: (plain,))).broken]
    assert [each.split(";")[0][:27] for each in said[:2]] == [
        "found the media type 'text/",
        "unpacked, found SHA-256 e3b",
    ]


def test_a_bomb_is_not_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layers, "LARGEST", 1 << 20)
    packed = gzip.compress(b"\0" * (2 << 20))
    with pytest.raises(CannotTell, match="larger than anybody"):
        over(Blob(GZIP, "", 0, "", lambda: (packed,)))
    monkeypatch.setattr(layers, "MEMBERS", 3)
    with pytest.raises(CannotTell, match="more than 3 members"):
        over({f"f{n}": file() for n in range(4)})
    monkeypatch.setattr(layers, "LAYERS", 2)
    with pytest.raises(CannotTell, match="more than 2 layers"):
        over({"a": file()}, {"a": file()}, {"a": file()})
    monkeypatch.setattr(layers, "KEPT", 3)
    with pytest.raises(CannotTell, match="allowed: 3"):
        over({"etc/os-release": file("ID=x")})


def test_a_header_without_end_is_not_read() -> None:
    long = tar(entry("x", tarfile.GNUTYPE_LONGNAME, data=b"y" * ((1 << 20) + 1)), entry("a", data=b"x"))
    held = over(long)
    assert paths(held.tree) == []
    assert held.broken


def test_chain_ids_are_those_of_the_specification() -> None:
    one, two = "a" * 64, "b" * 64
    both = hashlib.sha256(f"sha256:{one} sha256:{two}".encode()).hexdigest()
    assert chains([]) == []
    assert chains([one, two]) == [one, both]


NAMES = st.sampled_from(["a", "b", "a/x", "a/y", "b/x", "c/d/e"])
STEPS = st.lists(st.tuples(st.sampled_from(["put", "gone", "opaque"]), NAMES), max_size=5)


@settings(max_examples=60, deadline=None)
@given(st.lists(STEPS, min_size=1, max_size=4))
def test_layers_are_what_a_plain_model_of_them_is(told: list[list[tuple[str, str]]]) -> None:
    """Of each layer first what it takes away from those below it, then what it puts, as sets of paths."""
    model: set[str] = set()
    stack: list[dict[str, Node]] = []
    for steps in told:
        layer: dict[str, Node] = {}
        taken: list[tuple[str, str]] = []
        for act, path in steps:
            parent, _, last = path.rpartition("/")
            start = f"{parent}/" if parent else ""
            if act == "put" and not any(each.startswith(f"{path}/") or path.startswith(f"{each}/") for each in layer):
                layer[path] = file()
            elif act == "gone" and not any(each.startswith(f"{parent}/") or parent == each for each in layer if parent):
                taken.append(("gone", path))
                layer[f"{start}.wh.{last}"] = file("")
            elif act == "opaque" and not any(parent == each or parent.startswith(f"{each}/") for each in layer):
                taken.append(("opaque", parent))
                layer[f"{start}.wh..wh..opq"] = file("")
        for act, path in taken:
            below = f"{path}/" if path else ""
            model = {each for each in model if not each.startswith(below) and (act == "opaque" or each != path)}
        for path in (each for each in layer if not each.rpartition("/")[2].startswith(".wh.")):
            ancestors = {path[:at] for at in range(len(path)) if path[at] == "/"}
            model = {each for each in model if each not in ancestors and not each.startswith(f"{path}/")} | {path}
        wh = {path.rpartition("/")[0] for path in layer if "/" in path}
        model -= {each for each in model if each in wh}
        stack.append(layer)
    assert {path for path, _ in over(*stack).tree.files()} == model


def test_what_is_written_twice_is_the_same_bytes() -> None:
    one = made.image([made.blob(made.layer({"b/c": file(), "a": file()}))], {"os": "linux"})
    two = made.image([made.blob(made.layer({"a": file(), "b/c": file()}))], {"os": "linux"})
    assert (one.sha256, one.config) == (two.sha256, two.config)
