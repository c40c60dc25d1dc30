"""Package databases and `os-release` as text: Debian's control stanzas (deb822), Alpine's, and shell assignments."""

import re
import shlex
from collections.abc import Iterator

from security.errors import BadInput
from security.inventory.record import Package, System

_SETTINGS, _NEVER = "config-files", "not-installed"
"""States of a package of which only the settings are left, or nothing: of the latter there is a wish at most."""
_SOURCE = re.compile(r"(\S+)(?: \((\S+)\))?")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+_-]*")
_ARCH = re.compile(r"[a-z0-9][a-z0-9_-]*|")


def paragraphs(text: str, file: str) -> Iterator[dict[str, str]]:
    """The stanzas of a control file: field -> its value, continued lines left out. A field that is there twice, or a
    line of no form, is `BadInput`."""
    fields: dict[str, str] = {}
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            if fields:
                yield fields
            fields = {}
        elif not line.startswith((" ", "\t")):
            name, mark, value = line.partition(":")
            if not mark or not name or name in fields:
                raise BadInput(file, f"line {number}", "no field, or one once more", "`Name: value`, each once")
            fields[name] = value.strip()
        elif not fields:
            raise BadInput(file, f"line {number}", "a line that continues nothing", "`Name: value`")
    if fields:
        yield fields


def absent(fields: dict[str, str]) -> bool:
    """Whether a stanza is of a package that is not there at all: no list of files stands beside it."""
    return fields.get("Status", "").split()[-1:] == [_NEVER]


def deb(fields: dict[str, str], file: str) -> Package | None:
    """The package of a stanza of dpkg's status; none where only its settings are left."""
    if absent(fields) or fields.get("Status", "").split()[-1:] == [_SETTINGS]:
        return None
    name, version = fields.get("Package", ""), fields.get("Version", "")
    source = _SOURCE.fullmatch(fields.get("Source", name))
    arch = fields.get("Architecture", "")
    if not (_NAME.fullmatch(name) and version and source and _NAME.fullmatch(source[1]) and _ARCH.fullmatch(arch)):
        raise BadInput(file, "a stanza", "no name, version, source or architecture", "those of an installed package")
    return Package(kind="deb", name=name, version=version, source=source[1], built=source[2] or version, arch=arch)


def apk(text: str, file: str) -> Iterator[Package]:
    """The packages of Alpine's database."""
    for block in re.split(r"\n\s*\n", text.strip("\n")):
        fields = {line[0]: line[2:].strip() for line in reversed(block.split("\n")) if line[1:2] == ":"}
        name, version = fields.get("P", ""), fields.get("V", "")
        source, arch = fields.get("o", name), fields.get("A", "")
        if not (_NAME.fullmatch(name) and version and _NAME.fullmatch(source) and _ARCH.fullmatch(arch)):
            raise BadInput(file, "a block", "no name, version, origin or architecture", "those of a package")
        yield Package(kind="apk", name=name, version=version, source=source, built=version, arch=arch)


def system(text: str, file: str) -> System:
    """What `os-release` says (os-release(5))."""
    told: dict[str, str] = {}
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip() or line.startswith("#"):
            continue
        name, mark, value = line.partition("=")
        try:
            words = shlex.split(value)
        except ValueError:
            words = ["", ""]
        if not mark or len(words) > 1:
            raise BadInput(file, f"line {number}", "no assignment", "NAME=value, as a shell takes it")
        told[name] = words[0] if words else ""
    if not re.fullmatch(r"[a-z0-9._-]{1,64}", told.get("ID", "")):
        raise BadInput(file, "ID", "none", "small letters, digits, dots, dashes")
    version, codename = (told.get(each, "")[:64] for each in ("VERSION_ID", "VERSION_CODENAME"))
    return System(id=told["ID"], version=version, codename=codename)
