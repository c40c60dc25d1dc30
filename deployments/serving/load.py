"""A release, believed by its signature: what the service answers from.

In order: every file is read once; the OpenSSF signature must be by the key given and list exactly these files; then
the bytes that were hashed are the bytes that are parsed: the card, the ids, the tensors. A name that was not asked
for, an expiry that has passed, a shape, a type or a number that does not hold: no service.
"""

import math
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from security.errors import BadInput, Refused
from security.gates.model import contents, release, signer
from security.keys import PublicKey

NEEDED = ("ids.json", "model.json", "model.safetensors", "model.sig")
WEIGHTS = ("encoder", "encoder_bias", "decoder", "decoder_bias")
SEEN = ("seen_indptr", "seen_indices")
GROUP, MANY = 64, 4
"""Items of a group whose best says what is not among the best of all; as many times `k` are looked at one by one."""
Digest = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=256)]
Arrays = dict[str, NDArray[Any]]
T = TypeVar("T")


class Card(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a release says of itself (`model.json`). Times are seconds since the epoch."""

    name: Name
    version: Annotated[int, msgspec.Meta(ge=1)]
    run: Name
    created: float
    expires: float
    data: Digest
    code: Digest
    lock: Digest
    plan: Digest
    hyperparameters: dict[str, Any]
    training: dict[str, Any]


class Ids(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The names behind the rows and columns (`ids.json`), in their order."""

    users: Annotated[list[Name], msgspec.Meta(min_length=1)]
    items: Annotated[list[Name], msgspec.Meta(min_length=1)]


@dataclass(frozen=True)
class Model:
    """A release in memory. `digest` is that of all its files; `weights` and `seen` are as in `model.safetensors`."""

    digest: str
    card: Card
    items: list[str]
    rows: dict[str, int]
    weights: Arrays
    seen: Arrays
    popular: NDArray[np.float32]
    """Share of the users that have seen an item, for each item."""

    columns: dict[str, int] = field(init=False, repr=False)
    """Item -> its number."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "columns", {item: number for number, item in enumerate(self.items)})

    def history(self, user: str) -> NDArray[Any]:
        """The items (their numbers) that a user has seen; empty for a user who is not known."""
        row = self.rows.get(user)
        if row is None:
            return np.empty(0, np.int64)
        start, stop = self.seen["seen_indptr"][row : row + 2]
        return self.seen["seen_indices"][start:stop]

    def known(self, items: Iterable[str]) -> tuple[NDArray[np.int64], int]:
        """The numbers of the different items that are known, rising, and how many others are not known."""
        named = set(items)
        numbers = sorted(self.columns[item] for item in named if item in self.columns)
        return np.array(numbers, np.int64), len(named) - len(numbers)

    def recommend(self, user: str, k: int) -> tuple[list[tuple[str, float]], str]:
        """At most `k` items that the user has not seen, best first, with scores, and the basis of these.

        `personal`: by the user's history; items of one score stand in catalogue order. `cold`: the most popular items,
        for a user without one, with one divided by the place as score: how many have seen an item is nobody's to know.
        """
        return self._folded(self.history(user), k, "personal")

    def session(self, numbers: NDArray[np.int64], k: int) -> tuple[list[tuple[str, float]], str]:
        """As `recommend`, by items that stand for a history: `session`, or `cold` where there are none.

        What a session can do is bounded, whatever is in it. The hidden layer lies within [-1, 1], so a score lies
        within the sum of its decoder weights' sizes of its bias. One item more beside n others moves the input of a
        hidden unit by less than 1.5 / sqrt(n) of the largest size of that unit's encoder weights, and each score by no
        more than its decoder weights make of that. An item of the session is not in the answer, and the model is the
        same afterwards.
        """
        return self._folded(numbers, k, "session")

    def _folded(self, history: NDArray[Any], k: int, basis: str) -> tuple[list[tuple[str, float]], str]:
        if not history.size:
            return [(item, 1 / place) for place, (item, _) in enumerate(self._best(self.popular, k), 1)], "cold"
        weights = self.weights
        normal = np.float32(1 / math.sqrt(history.size))
        hidden = np.tanh(weights["encoder"].take(history, axis=0).sum(axis=0) * normal + weights["encoder_bias"])
        scores = hidden @ weights["decoder"]
        scores += weights["decoder_bias"]
        scores[history] = -np.inf
        return self._best(scores, min(k, len(self.items) - history.size)), basis

    def _best(self, scores: NDArray[np.float32], k: int) -> list[tuple[str, float]]:
        k = min(k, scores.size)
        if k < 1:
            return []
        if (groups := scores.size // GROUP) < k:
            near = np.arange(scores.size)
        else:
            # The best of k groups are k items: what is below the least of them is not among the best k.
            tops = np.maximum.reduce(scores[: groups * GROUP].reshape(GROUP, groups), axis=0)
            tops.partition(groups - k)
            near = np.flatnonzero(scores >= tops[groups - k])
        some = scores[near]
        if near.size > MANY * k:
            kept = some >= np.partition(some, -k)[-k]
            near, some = near[kept], some[kept]
        order = np.argsort(-some, kind="stable")[:k]
        return list(zip(map(self.items.__getitem__, near[order].tolist()), some[order].tolist(), strict=True))


def load(folder: Path, key: PublicKey, *, name: str | None = None, now: float | None = None) -> Model:
    """The model of a release folder, or an error that says why not.

    `name` is the one that its card must bear, where one is given; `now` is in seconds since the epoch.
    Raises: `KeyBroken` for the signature, `BadInput` for what cannot be read, `Refused` for a name or an expiry.
    """
    files = contents(folder)
    signer(files, key)
    for needed in NEEDED:
        if needed not in files:
            raise BadInput("the release", needed, "no such file", ", ".join(NEEDED))
    card = _decode(files, "model.json", Card)
    if name is not None and card.name != name:
        raise Refused(f"the release is of the model {card.name!r}, not of {name!r}")
    moment = time.time() if now is None else now
    if card.expires <= moment:
        raise Refused(f"the release of {card.name!r} expired {moment - card.expires:.0f} s ago")
    if card.expires <= card.created:
        raise Refused(f"the release of {card.name!r} expires before it was made")
    ids = _decode(files, "ids.json", Ids)
    for kind, names in (("users", ids.users), ("items", ids.items)):
        if len(set(names)) != len(names):
            raise BadInput("ids.json", kind, "one id twice", "each id once")
    arrays = _tensors(files["model.safetensors"], users=len(ids.users), items=len(ids.items))
    counts = np.bincount(arrays["seen_indices"], minlength=len(ids.items))
    popular = (counts / len(ids.users)).astype(np.float32)
    for array in (*arrays.values(), popular):
        array.flags.writeable = False
    return Model(
        digest=release(files),
        card=card,
        items=ids.items,
        rows={user: row for row, user in enumerate(ids.users)},
        weights={part: arrays[part] for part in WEIGHTS},
        seen={part: arrays[part] for part in SEEN},
        popular=popular,
    )


def _decode(files: dict[str, bytes], name: str, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(files[name], type=kind)
    except msgspec.ValidationError as why:
        place = str(why).rpartition(" - at ")[2].strip("`")
        raise BadInput(name, place, "a value of another form, or too many or too few", kind.__name__) from None
    except msgspec.DecodeError:
        raise BadInput(name, "the file", "something else", "JSON in UTF-8") from None


def _tensors(data: bytes, users: int, items: int) -> Arrays:
    """The six arrays, their types, shapes and numbers checked against each other and the ids."""
    from safetensors import SafetensorError
    from safetensors.numpy import load as parse

    file = "model.safetensors"
    try:
        arrays: Arrays = parse(data)
    except (SafetensorError, ValueError, KeyError, TypeError) as why:
        raise BadInput(file, "the file", type(why).__name__, "tensors") from None
    if set(arrays) != {*WEIGHTS, *SEEN}:
        raise BadInput(file, "the names", f"{len(arrays)} tensors", ", ".join((*WEIGHTS, *SEEN)))
    width = arrays["encoder_bias"].size
    seen = arrays["seen_indices"].size
    shapes = {
        "encoder": (items, width),
        "encoder_bias": (width,),
        "decoder": (width, items),
        "decoder_bias": (items,),
        "seen_indptr": (users + 1,),
        "seen_indices": (seen,),
    }
    for part, shape in shapes.items():
        array, kinds = arrays[part], ("float32",) if part in WEIGHTS else ("int32", "int64")
        if array.dtype.name not in kinds:
            raise BadInput(file, part, array.dtype.name, " or ".join(kinds))
        if array.shape != shape or not width:
            raise BadInput(file, part, f"shape {array.shape}", f"{shape}, none of them 0")
    for weight, bias in (("encoder", "encoder_bias"), ("decoder", "decoder_bias")):
        # The hidden layer lies within [-1, 1], so that what sums to a finite number here cannot overflow a score.
        with np.errstate(over="ignore", invalid="ignore"):
            most = np.abs(arrays[weight]).sum(axis=0) + np.abs(arrays[bias])
        if not np.isfinite(most).all():
            raise BadInput(file, weight, "a number that is not finite, or too large", "finite numbers and scores")
    pointers, seen_items = arrays["seen_indptr"], arrays["seen_indices"]
    if pointers[0] != 0 or pointers[-1] != seen or (np.diff(pointers) < 0).any():
        raise BadInput(file, "seen_indptr", "pointers that do not divide the indices", f"0, rising, to {seen}")
    if seen and (seen_items.min() < 0 or seen_items.max() >= items):
        raise BadInput(file, "seen_indices", "an item that is not in the catalogue", f"0 to {items - 1}")
    owner = np.repeat(np.arange(users, dtype=np.int64), np.diff(pointers)) * items + seen_items
    if np.unique(owner).size != seen:
        raise BadInput(file, "seen_indices", "an item twice in one history", "each item once")
    return arrays
