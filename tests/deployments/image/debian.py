"""What comes from where the machine's own packages do: a base of Debian, as mmdebstrap makes it, and a program of
another release, fetched and unpacked, not installed."""

import hashlib
import os
import subprocess
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from deployments.image.assemble import written
from deployments.image.store import Store
from security.inventory import made
from security.inventory.layers import Blob

KEYS = Path("/usr/share/keyrings/debian-archive-keyring.gpg")


SUITE = "bookworm"


def sources() -> list[str]:
    """What apt's own listing has of the release, its security updates among it: the machine may reach no other. None
    where it is of another release, and mmdebstrap's own are taken."""
    told = ["apt-get", "indextargets", "--format", "$(SITE) $(CODENAME) $(COMPONENT)", "Created-By: Packages"]
    listed = subprocess.run(told, check=True, capture_output=True, text=True, timeout=60).stdout.splitlines()
    rows = sorted({tuple(each.split()) for each in listed if len(each.split()) == 3})
    return [f"deb {site} {suite} {part}" for site, suite, part in rows if suite.startswith(SUITE) and part == "main"]


def _read(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        yield from iter(lambda: file.read(1 << 20), b"")


def base(folder: Path) -> tuple[tuple[Path, str], str]:
    """A small system with an interpreter, in a layout of its own, and the digest of its manifest; the chain id of its
    one layer."""
    tar = folder / "base.tar"
    told = ["mmdebstrap", "--quiet", "--variant=minbase", "--include=python3.11", SUITE, str(tar), *sources()]
    subprocess.run(told, check=True, timeout=500)
    sha = hashlib.sha256(tar.read_bytes()).hexdigest()
    layer = Blob(made.LAYER, sha, tar.stat().st_size, sha, partial(_read, tar))
    image = made.image([layer], {"architecture": "amd64", "os": "linux", "config": {}, "history": []})
    written(image, Store(folder / "base"), "base")
    return (folder / "base", image.sha256), sha


def program(name: str, suite: str, folder: Path) -> Path:
    """The program of a package of the same name. `folder` keeps it, with all that apt writes."""
    told = ["apt-get", "indextargets", "--format", "$(SITE) $(CODENAME)", "Created-By: Packages"]
    listed = subprocess.run(told, check=True, capture_output=True, text=True, timeout=60).stdout.splitlines()
    site = next(each.split()[0] for each in listed if "-" not in each.split()[1])
    keys = f"[signed-by={KEYS}] " if KEYS.is_file() else ""
    for each in ("lists/partial", "archives/partial", "none"):
        (folder / each).mkdir(parents=True, exist_ok=True)
    (folder / "sources.list").write_text(f"deb {keys}{site} {suite} main\n")
    (folder / "apt.conf").write_text(
        f'Dir::Etc::SourceList "{folder}/sources.list";\nDir::Etc::SourceParts "{folder}/none";\n'
        f'Dir::State::Lists "{folder}/lists";\nDir::Cache "{folder}";\nAPT::Sandbox::User "root";\n'
    )
    env = {**os.environ, "APT_CONFIG": str(folder / "apt.conf")}
    for act in (["update"], ["download", name]):
        subprocess.run(["apt-get", "-qq", *act], check=True, env=env, cwd=folder, timeout=300)
    (deb,) = folder.glob(f"{name}_*.deb")
    subprocess.run(["dpkg-deb", "-x", str(deb), str(folder / "unpacked")], check=True, timeout=60)
    return folder / "unpacked" / "usr" / "bin" / name
