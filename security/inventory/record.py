"""One inventory, typed: what a tree of files holds, by what its package databases and metadata declare."""

from typing import Literal

from security.verdict import Frozen

Kind = Literal["deb", "apk"]


class System(Frozen):
    """What `os-release` says: id and version as the distribution spells them, and its codename, empty for none."""

    id: str
    version: str
    codename: str = ""

    @property
    def ecosystem(self) -> str:
        """The name under which OSV has advisories of its packages; empty where nobody here knows their order."""
        return f"Debian:{self.version.partition('.')[0]}" if self.id == "debian" and self.version else ""


class Package(Frozen):
    """A package of the system. `source`, `built`: the source package that it was built from, by which advisories are
    told, and its version."""

    kind: Kind
    name: str
    version: str
    source: str
    built: str
    arch: str


class Database(Frozen):
    """A package database: how many packages it declares, and of how many there is a list of files beside it; none
    where the database keeps no lists."""

    kind: Kind
    packages: int
    lists: int | None


class Dist(Frozen):
    """A Python distribution: canonical name, version of PEP 440, and the folder that it lies in."""

    name: str
    version: str
    folder: str


class Interpreter(Frozen):
    """An interpreter. `version`: as far as it is known; `owner`: the package of the system that it is of, or empty."""

    implementation: str
    version: str
    owner: str


class Inventory(Frozen):
    """`loose`: importable files in the distributions' folders that no record and no package lists; `stray`: other
    executable files that no package has; `setuid`: files that run as another than who starts them; `ignores`: files
    that tell scanners to look away; `odd`: declarations that cannot be read, and why."""

    system: System | None
    databases: tuple[Database, ...]
    packages: tuple[Package, ...]
    interpreters: tuple[Interpreter, ...]
    dists: tuple[Dist, ...]
    loose: tuple[str, ...]
    stray: tuple[str, ...]
    setuid: tuple[str, ...]
    ignores: tuple[str, ...]
    odd: tuple[str, ...]
