"""The licence of a package, as its metadata declares it: an SPDX expression, or nothing where nobody can tell.

Taken are, in this order, the field that is an expression (PEP 639), the classifiers, and the free text where it is an
SPDX id or one of a few common names. Of several classifiers every one counts: which of them may be chosen is not said.
"""

from collections.abc import Collection, Sequence
from functools import cache
from typing import Any

from license_expression import ExpressionError, get_spdx_licensing

_CLASSIFIED = {
    "Apache Software License": "Apache-2.0",
    "BSD License": "BSD-3-Clause",
    "GNU Affero General Public License v3": "AGPL-3.0-only",
    "GNU General Public License v2 (GPLv2)": "GPL-2.0-only",
    "GNU General Public License v2 or later (GPLv2+)": "GPL-2.0-or-later",
    "GNU General Public License v3 (GPLv3)": "GPL-3.0-only",
    "GNU General Public License v3 or later (GPLv3+)": "GPL-3.0-or-later",
    "GNU Lesser General Public License v2 or later (LGPLv2+)": "LGPL-2.0-or-later",
    "GNU Lesser General Public License v3 (LGPLv3)": "LGPL-3.0-only",
    "GNU Lesser General Public License v3 or later (LGPLv3+)": "LGPL-3.0-or-later",
    "ISC License (ISCL)": "ISC",
    "MIT License": "MIT",
    "MIT No Attribution License (MIT-0)": "MIT-0",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "Python Software Foundation License": "PSF-2.0",
    "The Unlicense (Unlicense)": "Unlicense",
    "zlib/libpng License": "Zlib",
}
_NAMES = {
    "3-clause bsd license": "BSD-3-Clause",
    "apache": "Apache-2.0",
    "apache 2": "Apache-2.0",
    "apache 2.0": "Apache-2.0",
    "apache license 2.0": "Apache-2.0",
    "apache license, version 2.0": "Apache-2.0",
    "apache software license": "Apache-2.0",
    "bsd 3-clause": "BSD-3-Clause",
    "bsd-3": "BSD-3-Clause",
    "mit license": "MIT",
    "the mit license": "MIT",
}
_TITLE = "License :: "
_UNSAID = ("OSI Approved", "DFSG approved")
"""Classifiers that name none."""


@cache
def _spdx() -> Any:
    return get_spdx_licensing()


def parsed(told: str) -> Any:
    """An SPDX expression; None where it is not one."""
    try:
        return _spdx().parse(told, validate=True, strict=True) if told.strip() else None
    except ExpressionError:
        return None


def licence(expression: str, classifiers: Sequence[str], text: str) -> str:
    """The expression that a package's metadata comes to; empty where it does not come to one."""
    if expression:
        return _spelled(expression)
    named = [each.removeprefix(_TITLE) for each in classifiers if each.startswith(_TITLE)]
    named = [each.removeprefix("OSI Approved :: ") for each in named if each not in _UNSAID]
    if named:
        return (
            " AND ".join(dict.fromkeys(_CLASSIFIED[each] for each in named)) if {*named} <= _CLASSIFIED.keys() else ""
        )
    return _spelled(_NAMES.get(" ".join(text.split()).lower(), text))


def _spelled(told: str) -> str:
    found = parsed(told)
    return "" if found is None else str(found)


def allowed(told: str, licences: Collection[str]) -> bool:
    """Whether these licences are all that an expression asks for: of `OR` one part is enough, of `AND` it takes all."""
    found = parsed(told)
    return found is not None and _kept(found, licences)


def _kept(node: Any, licences: Collection[str]) -> bool:
    parts = getattr(node, "args", ())
    if not parts or hasattr(node, "license_symbol"):
        return str(node) in licences
    kept = [_kept(each, licences) for each in parts]
    return any(kept) if node.operator.strip() == "OR" else all(kept)
