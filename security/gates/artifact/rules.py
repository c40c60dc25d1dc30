"""What is wrong with a model's files, rule by rule: from the facts and the limits alone."""

import re
from collections.abc import Iterator

from security.gates.artifact.facts import SIGNATURE, Facts, Limits, Weight, spot
from security.gates.artifact.known import LAYERS, OPS, SAVER
from security.verdict import Breach

_RULES = {
    "twice": "ART-03", "form": "ART-04", "size": "ART-05", "code": "ART-09", "name": "ART-10",
    "outside": "ART-11", "key": "ART-13", "part": "ART-16",
}  # fmt: skip
_FORMAT = {"hdf": "keras"}
_SHOWN = 12


def files(facts: Facts, limits: Limits) -> Iterator[Breach]:
    """Entries that are no plain files, of no format that is allowed, too many or too large, or not those wanted."""
    for each in facts.files:
        if each.kind != "file" or not each.proper:
            found = {"link": "a link", "other": "neither a file nor a folder"}.get(each.kind, "such a name")
            yield Breach(rule="ART-01", place=each.name, message=f"found {found}; allowed: plain files by plain names")
        elif each.format != "signature" and _FORMAT.get(each.format, each.format) not in limits.formats:
            found = each.format or "a format that is not known"
            yield Breach(rule="ART-02", place=each.name, message=f"found {found}; allowed: {', '.join(limits.formats)}")
        elif each.size > limits.largest or not each.read:
            message = f"found {each.size:,} bytes; allowed: {limits.largest:,}, so it was not read"
            yield Breach(rule="ART-05", place=each.name, message=message)
    total = sum(each.size for each in facts.files)
    if total > limits.total or len(facts.files) > limits.most:
        found = f"{len(facts.files):,} files of {total:,} bytes"
        message = f"found {found}; allowed: {limits.most:,} of {limits.total:,}"
        yield Breach(rule="ART-05", place="the folder", message=message)
    for fault in facts.faults:
        place = f"{fault.file}: {fault.place}"
        yield Breach(rule=_RULES[fault.what], place=place, message=f"found {fault.found}; allowed: {fault.allowed}")
    if limits.files is not None:
        there = {each.name for each in facts.files} - {SIGNATURE}
        for name in sorted({*limits.files} - there - {SIGNATURE}):
            yield Breach(rule="ART-08", place=name, message="found no such file; allowed: a model that has it")
        for name in sorted(there - {*limits.files}):
            message = f"found a file more; allowed: {', '.join(limits.files)}"
            yield Breach(rule="ART-08", place=name, message=message)


def numbers(facts: Facts) -> Iterator[Breach]:
    """Tensors with numbers that are none, or infinite."""
    for each in facts.weights:
        if each.odd:
            what = "a boolean that is neither 0 nor 1" if each.kind == "BOOL" else "not finite"
            message = f"found {each.odd:,} numbers of {each.kind}, {what}; allowed: none"
            yield Breach(rule="ART-06", place=f"{each.file}: {each.name}", message=message)


def manifest(facts: Facts, limits: Limits) -> Iterator[Breach]:
    """Tensors that are not those of the manifest, or whose shapes do not fit each other and the numbers of ids."""
    if limits.tensors is None:
        return
    bound = dict[str, int]()
    for name, source in sorted(limits.counts.items()):
        told = facts.counts.get(spot(source))
        if told is None or not told.count:
            yield Breach(rule="ART-07", place=source, message=f"found none; allowed: how many {name} there are")
        elif not told.once:
            yield Breach(rule="ART-07", place=source, message="found one twice, or empty; allowed: each once")
        if told is not None:
            bound[name] = told.count
    named = [each for each in facts.weights if each.file.endswith(".safetensors")]
    by_name = {each.name: each for each in named}
    for each in named:
        if each.name not in limits.tensors or by_name[each.name] is not each:
            place = f"{each.file}: {each.name}"
            yield Breach(rule="ART-07", place=place, message="found a tensor more, or twice; allowed: those named once")
    for name in sorted(limits.tensors):
        if name in by_name:
            yield from _shape(by_name[name], limits, bound)
        else:
            yield Breach(rule="ART-07", place=name, message="found no such tensor; allowed: a model that has it")
    for pair in limits.sparse:
        yield from _sparse(by_name.get(pair.pointers), by_name.get(pair.indices), _value(pair.columns, bound))


def _value(dimension: str | int, bound: dict[str, int]) -> int | None:
    if isinstance(dimension, int):
        return dimension
    name, _, more = dimension.partition("+")
    return bound[name] + int(more or 0) if name in bound else None


def _shape(each: Weight, limits: Limits, bound: dict[str, int]) -> Iterator[Breach]:
    """A tensor's type and shape. The first that has a dimension says how much it is, where no count did."""
    assert limits.tensors is not None  # noqa: S101 - asked before
    wanted, place = limits.tensors[each.name], f"{each.file}: {each.name}"
    if each.kind not in wanted.kinds:
        yield Breach(rule="ART-07", place=place, message=f"found {each.kind}; allowed: {', '.join(wanted.kinds)}")
    if len(each.shape) == len(wanted.shape):
        for dimension, found in zip(wanted.shape, each.shape, strict=True):
            if isinstance(dimension, str) and _value(dimension, bound) is None:
                name, _, more = dimension.partition("+")
                bound[name] = found - int(more or 0)
    values = [_value(dimension, bound) for dimension in wanted.shape]
    empty = 0 in each.shape and each.name not in {pair.indices for pair in limits.sparse}
    if list(each.shape) != values or empty:
        said = ", ".join(
            f"{dimension}" if isinstance(dimension, int) else f"{dimension} = {value}"
            for dimension, value in zip(wanted.shape, values, strict=True)
        )
        shape = " x ".join(map(str, each.shape[:_SHOWN])) or "a single number"
        yield Breach(rule="ART-07", place=place, message=f"found {shape}; allowed: {said}, none of it 0")


def _sparse(pointers: Weight | None, indices: Weight | None, columns: int | None) -> Iterator[Breach]:
    """The rows of a matrix begin at 0, none before the last, and end with the columns, each of which there is."""
    if pointers is None or indices is None:
        return
    place, held = f"{pointers.file}: {pointers.name}", indices.shape[0] if len(indices.shape) == 1 else -1
    if pointers.span is None or not pointers.rises or pointers.span[:2] != (0, held):
        yield Breach(rule="ART-07", place=place, message=f"found other rows; allowed: 0, rising, to {held:,}")
    place = f"{indices.file}: {indices.name}"
    if held and (indices.span is None or columns is None or indices.span[2] < 0 or indices.span[3] >= columns):
        allowed = f"0 to {columns - 1:,}" if columns else "columns that are counted"
        yield Breach(rule="ART-07", place=place, message=f"found a column that there is not; allowed: {allowed}")


def made(facts: Facts, limits: Limits) -> Iterator[Breach]:
    """Classes and operations that are on no list, and what writes files elsewhere than where the saver does."""
    bare = {name.rpartition(".")[2] for name in LAYERS}
    layers = LAYERS | {*limits.layers} | {f"*.{name}" for name in bare}
    layers |= {f"*.{name.rpartition('.')[2]}" for name in limits.layers}
    for each in facts.made:
        place = f"{each.file}: {each.where or 'its configuration'}"
        name = each.name if re.fullmatch(r"[\w.*]+", each.name) else "a name that is none"
        times = f"{name}, {each.times:,} times" if each.times > 1 else name
        if each.kind == "layer" and each.name not in layers:
            yield Breach(rule="ART-12", place=place, message=f"found {times}; allowed: the layers of dense models")
        elif each.kind == "op" and each.name in SAVER:
            if not each.saver and each.where != "list":
                allowed = "in the saver's own functions, by the name that it is given"
                yield Breach(rule="ART-15", place=place, message=f"found {times}; allowed: {allowed}")
        elif each.kind == "op" and each.name not in OPS and each.name not in limits.ops:
            yield Breach(rule="ART-14", place=place, message=f"found {times}; allowed: the operations of dense models")
