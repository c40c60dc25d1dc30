"""The model of a language that a policy names for personal data: which folder it means here."""

import os
from collections.abc import Mapping
from typing import Any

from security.errors import CannotTell
from security.personal.found import Model


def language(told: Mapping[str, Any] | None) -> Model | None:
    """The model of `limits.model`, its folder not looked at yet; None where a policy names none.

    `CannotTell` (`model`) for a variable that names no folder.
    """
    if not told:
        return None
    kind, _, where = str(told["at"]).partition(":")
    folder = os.environ.get(where, "") if kind == "env" else where
    if not folder:
        raise CannotTell(f"{told['at']} names no folder of a model", "model")
    return Model(folder, told["sha256"], told["finds"])
