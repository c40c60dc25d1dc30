"""The inventory of a tree: of a running system's files, or of an image's layers."""

import re
from collections.abc import Iterable, Iterator

from security.errors import BadInput
from security.inventory import pythons, stanzas
from security.inventory.record import Database, Dist, Inventory, Package, System
from security.inventory.tree import EXECUTES, SETGID, SETUID, Node, Tree

RELEASE = ("etc/os-release", "usr/lib/os-release")
STATUS, EACH, LISTS, APK = "var/lib/dpkg/status", "var/lib/dpkg/status.d", "var/lib/dpkg/info", "lib/apk/db/installed"
SUMS = ".md5sums"
"""How the lists of files end where each package has a stanza of its own: in images that were made without dpkg."""
IGNORES = re.compile(
    r"(?i)\.trivyignore(\.ya?ml)?|trivy\.ya?ml|\.grype\.ya?ml|\.snyk|\.?osv-scanner\.toml|\.gitleaksignore"
    r"|\.gitleaks\.toml|\.dockle(ignore|rc)|\.?hadolint\.ya?ml|\.secrets\.baseline"
    r"|(.*[._-])?(open)?vex(\.cdx)?\.json"
)
"""Names of files by which scanners are told what not to find: none of them is read here."""


def inventory(tree: Tree) -> Inventory:
    """Everything that the tree declares; what cannot be read is `odd`, and never left out."""
    odd = list[str]()
    packages = list[Package]()
    databases = list[Database]()
    for database, held in _databases(tree, odd):
        databases.append(database)
        packages += held
    owners = dict(_owners(tree))
    listed = [*pythons.recorded(tree)]
    known = owners.keys() | {at for at, _ in listed}
    told = [*pythons.dists(tree)]
    odd += [*(each for each in told if isinstance(each, str)), *pythons.altered(tree, listed)]
    held_ = sorted({(each.name, each.version, each.folder) for each in told if isinstance(each, Dist)})
    loose = pythons.loose(tree, known)
    return Inventory(
        system=_system(tree, odd),
        databases=tuple(databases),
        packages=tuple(sorted(packages, key=lambda each: (each.kind, each.name, each.arch, each.version))),
        interpreters=pythons.interpreters(tree, owners),
        dists=tuple(Dist(name=name, version=at, folder=where) for name, at, where in held_),
        loose=tuple(loose),
        stray=tuple(_stray(tree, known | {*loose})),
        setuid=tuple(path for path, node in tree.files() if node.mode & (SETUID | SETGID)),
        ignores=tuple(path for path, _ in tree.files() if IGNORES.fullmatch(path.rpartition("/")[2])),
        odd=tuple(odd),
    )


def _system(tree: Tree, odd: list[str]) -> System | None:
    data = next((found for path in RELEASE if (found := tree.read(path)) is not None), None)
    if data is None:
        return None
    try:
        return stanzas.system(data.decode("utf-8"), "os-release")
    except (BadInput, UnicodeDecodeError) as why:
        odd.append(f"os-release: {_why(why)}")
        return None


def _databases(tree: Tree, odd: list[str]) -> Iterator[tuple[Database, list[Package]]]:
    """Each package database that is there, and what it declares."""
    single = tree.read(STATUS)
    apart = [(path, node.data or b"") for path, node in tree.files() if path.startswith(f"{EACH}/")]
    apart = [each for each in apart if not each[0].endswith(SUMS)]
    lists = sum(path.startswith(f"{LISTS}/") and path.endswith(".list") for path, _ in tree.files())
    texts = [(STATUS, single)] if single is not None else []
    if texts or apart:
        held, told = list[Package](), 0
        for file, data in [*texts, *apart]:
            try:
                for fields in stanzas.paragraphs(data.decode("utf-8"), file):
                    told += not stanzas.absent(fields)
                    package = stanzas.deb(fields, file)
                    held += [package] if package else []
            except (BadInput, UnicodeDecodeError) as why:
                odd.append(_why(why))
        yield Database(kind="deb", packages=told, lists=lists if texts else None), held
    elif lists:
        yield Database(kind="deb", packages=0, lists=lists), []
    if (alpine := tree.read(APK)) is not None:
        try:
            blocks = [*stanzas.apk(alpine.decode("utf-8"), APK)] if alpine.strip() else []
        except (BadInput, UnicodeDecodeError) as why:
            odd.append(_why(why))
            blocks = []
        yield Database(kind="apk", packages=len(blocks), lists=None), blocks


def _why(why: Exception) -> str:
    return str(why) if isinstance(why, BadInput) else "no UTF-8"


def _owners(tree: Tree) -> Iterator[tuple[str, str]]:
    """Path -> the package whose list has it, links on the way to it followed: `/bin/sh` lies in `/usr/bin`."""
    for path, node in tree.files():
        if path.startswith(f"{LISTS}/") and path.endswith(".list"):
            package = path.removeprefix(f"{LISTS}/").removesuffix(".list").partition(":")[0]
            yield from _of(tree, package, _lines(node))
        elif path.startswith(f"{EACH}/") and path.endswith(SUMS):
            package = path.removeprefix(f"{EACH}/").removesuffix(SUMS)
            yield from _of(tree, package, [line.partition(" ")[2] for line in _lines(node)])
    if (data := tree.read(APK)) is not None:
        folder = package = ""
        for line in data.decode("utf-8", "replace").splitlines():
            mark, value = line[:2], line[2:]
            if mark == "P:":
                package = value
            elif mark == "F:":
                folder = value
            elif mark == "R:" and (at := tree.resolve(folder)) is not None:
                yield (f"{at}/{value}" if at else value), package


def _lines(node: Node) -> list[str]:
    return (node.data or b"").decode("utf-8", "replace").splitlines()


def _of(tree: Tree, package: str, paths: Iterable[str]) -> Iterator[tuple[str, str]]:
    for path in paths:
        parent, _, last = path.strip(" /").rpartition("/")
        if last and (at := tree.resolve(parent)) is not None:
            yield (f"{at}/{last}" if at else last), package


def _stray(tree: Tree, known: set[str]) -> Iterator[str]:
    """Files that can be run, or loaded by what runs, and are nobody's. What dpkg runs for one is its own."""
    lists = {path.removesuffix(".list") for path, _ in tree.files() if path.startswith(f"{LISTS}/")}
    for path, node in tree.files():
        if path.startswith(f"{LISTS}/") and path.rpartition(".")[0] in lists:
            continue
        if path not in known and (node.mode & EXECUTES or re.search(r"\.so(\.\d+)*$", path)):
            yield path
