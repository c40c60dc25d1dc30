"""What a tree of files declares, and what nobody declares."""

import lzma
import shutil
import subprocess
from pathlib import Path

import pyarrow as pa
import pytest

from security.errors import BadInput
from security.inventory import Node, Tree, feeds, host, stanzas
from security.inventory.read import STATUS, inventory
from security.inventory.record import Package
from tests.security.gates import images
from tests.security.gates.images import BASE, NOW, TOP, UPDATES, dist, file, laid, updates

REAL = Path("/")


def test_a_small_system() -> None:
    here = inventory(laid(BASE, TOP))
    assert [(each.name, each.source, each.built) for each in here.packages] == [
        ("libc6", "glibc", "2.36-9+deb12u7"),
        ("python3.11-minimal", "python3.11", "3.11.2-6+deb12u3"),
    ]
    assert [(each.name, each.version) for each in here.dists] == [("alpha", "1.0"), ("beta", "2.0")]
    assert [(each.version, each.owner) for each in here.interpreters] == [("3.11", "python3.11-minimal")]
    assert here.system is not None
    assert here.system.ecosystem == "Debian:12"
    assert (here.loose, here.stray, here.setuid, here.ignores, here.odd) == ((), (), (), (), ())


def test_source_is_another_package_of_another_version() -> None:
    text = "Package: libx\nVersion: 2:1.0-1+b2\nSource: xorg (2:1.0-1)\nArchitecture: amd64\nMulti-Arch: same\n"
    fields = next(stanzas.paragraphs(text, "status"))
    made = stanzas.deb(fields, "status")
    assert made is not None
    assert (made.source, made.built, made.version) == ("xorg", "2:1.0-1", "2:1.0-1+b2")


@pytest.mark.parametrize("state", ["deinstall ok config-files", "purge ok not-installed"])
def test_what_is_not_installed_any_more_is_none(state: str) -> None:
    assert stanzas.deb({"Package": "x", "Version": "1", "Architecture": "all", "Status": state}, "status") is None


def test_of_a_wish_for_a_package_there_is_no_list() -> None:
    """`dpkg --set-selections` leaves a stanza of what was never there."""
    wish = "\nPackage: wanted\nStatus: hold ok not-installed\nPriority: optional\n"
    gone = "\nPackage: left\nStatus: deinstall ok config-files\nVersion: 1\nArchitecture: all\n"
    files = {**BASE, STATUS: file(images.STATUS + wish + gone), "var/lib/dpkg/info/left.list": file("/etc/left\n")}
    here = inventory(laid(files))
    assert (here.databases[0].packages, here.databases[0].lists, len(here.packages), here.odd) == (3, 3, 2, ())
    assert sum(host.weight(path, node) for path, node in files.items()) == 3


def test_what_is_half_installed_is_one() -> None:
    fields = {"Package": "x", "Version": "1", "Architecture": "all", "Status": "install reinstreq half-installed"}
    assert stanzas.deb(fields, "status") is not None


@pytest.mark.parametrize("text", ["ID", "ID='x", "VERSION_ID=1", "ID=x y", "ID=", "ID=$(id)"])
def test_a_release_that_cannot_be_read_is_odd(text: str) -> None:
    here = inventory(laid({"etc/os-release": file(text + "\n")}))
    assert here.system is None
    assert here.odd


def test_loose_and_stray_files_are_nobodys() -> None:
    extra = {
        "srv/packages/loose.py": file("x"),
        "srv/packages/alpha/__pycache__/x.pyc": file("x"),
        "srv/packages/hook.pth": file("x"),
        "usr/lib/python3/dist-packages/other.py": file("x"),
        "usr/local/bin/tool": file("x", 0o755),
        "opt/lib.so.1.2": file("x"),
        "srv/readme.txt": file("x"),
    }
    here = inventory(laid(BASE, TOP, extra))
    assert here.loose == (
        "srv/packages/hook.pth",
        "srv/packages/loose.py",
        "usr/lib/python3/dist-packages/other.py",
    )
    assert here.stray == ("opt/lib.so.1.2", "usr/local/bin/tool")


def test_a_package_without_its_metadata_is_loose() -> None:
    whole = dist("gamma", "1.0")
    here = inventory(laid(BASE, TOP, {path: node for path, node in whole.items() if path.endswith(".py")}))
    assert here.loose == ("srv/packages/gamma.py",)
    half = {path: node for path, node in whole.items() if not path.endswith("METADATA")}
    assert "gamma" not in {each.name for each in inventory(laid(BASE, TOP, half)).dists}


def test_metadata_that_cannot_be_read_is_odd() -> None:
    for text in ("Name: x\n", "Version: 1.0\n", "Name: x\nVersion: one\n", "Name: -\nVersion: 1\n", ""):
        here = inventory(laid({"a/x-1.dist-info/METADATA": file(text)}))
        assert (here.dists, len(here.odd)) == ((), 1), text


def test_a_record_of_what_has_no_metadata_is_odd() -> None:
    """By it alone a module would be somebody's, and what it says of `../` too."""
    info = "srv/packages/evil-1.dist-info"
    told = {"srv/packages/evil.py": file("x"), f"{info}/RECORD": file("evil.py,,\n../../usr/bin/tool,,\n")}
    for more in ({}, {f"{info}/METADATA": Node("link", target="/etc/passwd")}):
        here = inventory(laid(BASE, told | more))
        assert here.odd == (f"{info}/RECORD: a record of what has no metadata",), more


def test_a_file_of_an_image_that_is_not_as_its_record_says_is_odd() -> None:
    here = inventory(laid(BASE, TOP | {"srv/packages/alpha.py": file("x = 2\n")}))
    assert [each.partition(":")[0] for each in here.odd] == ["srv/packages/alpha.py"]


def test_each_stanza_apart_as_in_an_image_without_dpkg() -> None:
    told = "Package: base\nVersion: 1\nArchitecture: all\n"
    here = inventory(laid({"var/lib/dpkg/status.d/base": file(told), "var/lib/dpkg/status.d/base.md5sums": file("x")}))
    assert [each.name for each in here.packages] == ["base"]
    assert here.databases[0].lists is None


def package(version: str) -> Package:
    return Package(kind="deb", name="libc6", version=version, source="glibc", built=version, arch="amd64")


def test_a_list_of_updates_packed_in_any_way() -> None:
    text = UPDATES.replace("u7", "u10").encode()
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, "lz4") as stream:
        stream.write(text)
    packed = sink.getvalue().to_pybytes()
    given = updates(text.decode())
    for name, data in (("_Packages", text), ("_Packages.xz", lzma.compress(text)), ("_Packages.lz4", packed)):
        told, newest = feeds.read(given._replace(file=f"x{name}", packages=data))
        assert (told.whole, told.count, told.codename, told.date) == (True, 1, "bookworm-security", NOW)
        assert [each.newer for each in feeds.updates([package("2.36-9+deb12u7")], newest)] == ["2.36-9+deb12u10"]
        assert not [*feeds.updates([package("2.36-9+deb12u10")], newest)]
    with pytest.raises(BadInput):
        feeds.read(given._replace(file="x_Packages.xz", packages=lzma.compress(text)[:-20]))


def test_a_signed_release_is_read_without_its_signature() -> None:
    given = updates()
    body = given.release.decode()
    armour = f"-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\n{body}\n-----BEGIN PGP SIGNATURE-----\n\nDate: x\n"
    assert feeds.read(given._replace(release=armour.encode()))[0] == feeds.read(given)[0]


@pytest.mark.real
@pytest.mark.skipif(not (shutil.which("dpkg-query") and (REAL / STATUS).is_file()), reason="needs dpkg")
def test_this_system_is_what_dpkg_says(tmp_path: Path) -> None:
    tree = Tree()
    for path, node in host.files(REAL, tmp_path):
        tree.put(path, node)
    form = "${Package}\t${Version}\t${Architecture}\t${source:Package}\t${source:Version}\n"
    told = subprocess.run(["dpkg-query", "-W", "-f", form], check=True, capture_output=True, text=True).stdout
    here = inventory(tree)
    mine = sorted((each.name, each.version, each.arch, each.source, each.built) for each in here.packages)
    assert mine == sorted(tuple(line.split("\t")) for line in told.splitlines())
    assert sum(host.weight(path, node) for path, node in tree.files()) == host.counted(REAL, tmp_path)
