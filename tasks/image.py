"""Opens what serves for the gate over images: an image in an OCI layout, or what a local process runs on.

Where advisories are there, the mirror's are handed out; lists of security updates are those that this system keeps,
and say of which system they are.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType

from security.advisories import mirror
from security.advisories.mirror import Mirror
from security.engines import scanner
from security.errors import BadInput
from security.gates.dependencies import pinned
from security.gates.image import About, File, Item, Report, material
from security.inventory import feeds, host, layout
from security.keys import PublicKey
from security.material import Material
from security.verdict import Subject, canonical, digest
from tasks.home import Home

ROOT = Path("/")
NOBODY: Mapping[str, str] = MappingProxyType({})
MOST = 1 << 16
"""Bytes of what a database says of itself."""


def process(
    home: Home,
    lock: Path,
    packages: Path,
    argv: Sequence[str],
    env: Mapping[str, str],
    of: str = "",
    *,
    root: Path = ROOT,
) -> Material[Item]:
    """What a process runs on that is begun by this command with these variables: the system below `root`, the
    interpreter that runs here, and the distributions in the folder `packages`, which are to be those of `lock`. `of`:
    digest of what it serves."""
    config = canonical({"config": {"Cmd": list(argv), "Env": [f"{name}={env[name]}" for name in sorted(env)]}})
    now = mirror.stamp(datetime.now(UTC))
    items = [Item("about", About("process", "", now)), Item("config", config), *_beside(home, lock, root)]
    items.append(Item("interpreter", host.interpreter(root)))
    items += [Item("file", File(path, node)) for path, node in host.files(root, packages)]
    files = [each.value for each in items if each.kind == "file"]
    told = {each.path: each.node.sha256 or digest((each.node.data or b"").hex()) for each in files}
    subject = Subject(kind="image", name="process", sha256=digest(told | {"": config.decode()}), of=of)
    return material(subject, lambda: items, host.counted(root, packages), weight)


def image(
    home: Home,
    lock: Path,
    folder: Path,
    reference: str,
    keys: Sequence[PublicKey] = (),
    of: str = "",
    *,
    beside: Mapping[str, str] = NOBODY,
    root: Path = ROOT,
) -> Material[Item]:
    """The image of an OCI layout that a reference names by digest. `keys`: of who may sign one; `beside`: other
    scanners that are asked too -> the program; `root`: the system whose lists of security updates are taken."""
    sha = reference.rpartition("@sha256:")[2]
    found = layout.opened(folder, sha)
    now = mirror.stamp(datetime.now(UTC))
    items = [Item("about", About("image", reference, now)), Item("manifest", found.manifest)]
    items += [Item("config", found.config), *_beside(home, lock, root)]
    items += [Item("key", key.pem) for key in keys]
    items += [Item(kind, value) for kind, value in found.said]
    items += [Item("vex", path.read_bytes()) for path in _spoken(home)]
    items += [Item("report", report(home, name, beside[name], folder, sha)) for name in sorted(beside)]
    items += [Item("layer", blob) for blob in found.layers]
    subject = Subject(kind="image", name=reference, sha256=found.sha256, of=of)
    return material(subject, lambda: items, found.blobs, weight)


def report(home: Home, name: str, program: str, folder: Path, sha: str) -> Report:
    """What another scanner writes of the image of a layout; its data lie in the home."""
    data = home.root / "scanners" / name
    said, lacks = scanner.scanned(name, program, folder, sha, data)
    database = data / "db" / "metadata.json"
    return Report(name, said, database.read_bytes()[:MOST] if database.is_file() else b"", lacks)


def _spoken(home: Home) -> list[Path]:
    """OpenVEX documents that lie in the home, in envelopes; what is too large is no document."""
    found = sorted(path for path in (home.root / "vex").glob("*") if path.is_file())
    if large := [path.name for path in found if path.stat().st_size > layout.MOST]:
        raise BadInput(f"vex/{large[0]}", "the whole", "more bytes than that", f"{layout.MOST:,}")
    return found


def vexers(home: Home) -> list[PublicKey]:
    """The keys of those who may speak of vulnerabilities, where a policy names them too."""
    return [PublicKey.read(path) for path in sorted((home.root / "trust" / "vex").glob("*.pub"))]


def weight(item: Item) -> int:
    """What counts as looked at: the packages that a file declares, and layers."""
    return host.weight(*item.value) if item.kind == "file" else int(item.kind == "layer")


def _beside(home: Home, lock: Path, root: Path) -> Iterator[Item]:
    yield Item("advisories", _known(home))
    pins = {pin.name: pin.version for pin in pinned(lock.read_text("utf-8")) if pin.applies} if lock.is_file() else None
    yield Item("lock", pins)
    for feed in feeds.there(root):
        yield Item("feed", feed)


def _known(home: Home) -> Mirror | None:
    """The advisories of distributions, and those of a system's packages; none where there are neither."""
    dists, systems = (mirror.load(path) if path.exists() else None for path in (home.advisories, home.systems))
    if dists is None or systems is None:
        return dists or systems
    return replace(dists, systems={**dists.systems, **systems.systems})
