"""Whether bytes are a pickle that imports: followed by the lengths of its operations, none of which is done.

Python's own lister (`pickletools.genops`) decodes each argument, and warns or takes memory over what it finds there.
One that imports nothing is only data; by chance the first bytes of many a file are such a one.
"""

import pickletools

FOLLOWED = 2_000
"""Operations after which what still goes on is taken for one."""
_END = ord(".")
_IMPORTS = {*b"ci\x82\x83\x84\x93"}
_LINES = {"stringnl_noescape_pair": 2}
_FORMS = {ord(each.code): each.arg for each in pickletools.opcodes}
_WIDTHS = {
    pickletools.TAKEN_FROM_ARGUMENT1: 1,
    pickletools.TAKEN_FROM_ARGUMENT4: 4,
    pickletools.TAKEN_FROM_ARGUMENT4U: 4,
    pickletools.TAKEN_FROM_ARGUMENT8U: 8,
}


def found(data: memoryview) -> bool:
    """Whether an unpickler would import something and get to an end, or go further than it is followed."""
    at, imports = 0, False
    for _ in range(FOLLOWED):
        if at >= len(data) or data[at] not in _FORMS:
            return False
        code, form = data[at], _FORMS[data[at]]
        at += 1
        imports |= code in _IMPORTS
        if code == _END:
            return imports
        if form is None:
            continue
        if form.n in _WIDTHS:
            width = _WIDTHS[form.n]
            at += width + int.from_bytes(data[at : at + width], "little")
        elif form.n == pickletools.UP_TO_NEWLINE:
            for _ in range(_LINES.get(form.name, 1)):
                at = _line(data, at)
        else:
            at += form.n
    return True


def _line(data: memoryview, at: int) -> int:
    """Where the line after this one begins; past the end where there is none."""
    while at < len(data):
        piece = bytes(data[at : at + 4096])
        if (end := piece.find(b"\n")) >= 0:
            return at + end + 1
        at += len(piece)
    return at + 1
