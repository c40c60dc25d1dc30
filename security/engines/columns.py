"""Parquet with columns of ids, read whole by Arrow in a process of its own that has no more than some memory and time.

Arrow is C++ over bytes that anybody may have written, and takes sizes from the file. So it is never called here: the
child reads the file from its input, answers with one line, and is killed where it does neither. Taken are flat columns
of texts and whole numbers; extension types, whose readers once ran code out of the file (CVE-2023-47248), are not.
Each byte is a page's, or the footer's.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from security.engines.unfit import Unfit, told
from security.errors import CannotTell

MARK = b"PAR1"
LARGEST = 256 << 20
COLUMNS = 64
SECONDS = 60.0
MEMORY = 6 << 30
_START = "import sys; sys.path[:0] = {path!r}; from security.engines.columns import _serve; _serve()"


def read(data: memoryview) -> dict[str, tuple[int, bool]]:
    """The columns of a file: how many values each has, and whether each is there once; or `Unfit`.

    Raises:
        CannotTell: Arrow is not there, or its process could not be started.
    """
    if len(data) > LARGEST:
        raise Unfit("size", "the file", f"{len(data):,} bytes", f"at most {LARGEST:,}")
    if len(data) < 12 or bytes(data[:4]) != MARK or bytes(data[-4:]) != MARK:
        raise Unfit("form", "the file", "no mark at its begin and end", MARK.decode())
    start = _START.format(path=[str(Path(__file__).parent.parent.parent)])
    try:
        ended = subprocess.run(  # noqa: S603 - our own interpreter and code
            [sys.executable, "-I", "-c", start],
            input=data,
            env={"PATH": os.defpath, "HOME": tempfile.gettempdir(), "LANG": "C.UTF-8"},
            cwd=tempfile.gettempdir(),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=SECONDS,
            check=False,
            start_new_session=True,
        )
    except subprocess.TimeoutExpired:
        raise Unfit("size", "the file", f"pages that take longer than {SECONDS:g} s", "fewer") from None
    except OSError as why:
        raise CannotTell(f"Arrow cannot be started ({type(why).__name__})") from None
    if ended.returncode == 3:
        raise CannotTell("Arrow is not there")
    try:
        answer = json.loads(ended.stdout)
    except ValueError:
        raise Unfit("form", "the file", "what ends the reader", "columns") from None
    if "fault" in answer:
        raise Unfit("form", "the file", answer["fault"], "flat columns of texts or whole numbers, and nothing else")
    return {told(name): (int(rows), bool(once)) for name, (rows, once) in answer["columns"].items()}


def _serve() -> None:
    import resource

    try:
        import pyarrow.parquet as pq
    except ImportError:
        raise SystemExit(3) from None
    for kind, most in ((resource.RLIMIT_AS, MEMORY), (resource.RLIMIT_CPU, int(SECONDS)), (resource.RLIMIT_CORE, 0)):
        resource.setrlimit(kind, (most, most))
    try:
        answer: dict[str, Any] = {"columns": _columns(pq, sys.stdin.buffer.read())}
    except ValueError as why:
        answer = {"fault": str(why) if type(why) is ValueError else "something else"}
    except Exception as why:  # noqa: BLE001 - whatever Arrow raises, it is not a file of ids
        answer = {"fault": f"what breaks the reader ({type(why).__name__})"}
    print(json.dumps(answer))


def _columns(pq: Any, data: bytes) -> dict[str, tuple[int, bool]]:
    import pyarrow as pa
    import pyarrow.compute as pc

    file = pq.ParquetFile(pa.BufferReader(data))
    about, form = file.metadata, file.schema_arrow
    groups = [about.row_group(n) for n in range(about.num_row_groups)]
    chunks = [group.column(n) for group in groups for n in range(group.num_columns)]
    if 12 + about.serialized_size + sum(each.total_compressed_size for each in chunks) != len(data):
        raise ValueError("bytes that are no column's")
    if not 0 < len(form) <= COLUMNS or len({*form.names}) != len(form):
        raise ValueError("too many columns, none, or one twice")
    for each in form:
        plain = pa.types.is_string(each.type) or pa.types.is_large_string(each.type) or pa.types.is_integer(each.type)
        if not plain or {*(each.metadata or {})} - {b"PARQUET:field_id"}:
            raise ValueError("a column of another type")
    table = file.read()
    table.validate(full=True)
    if any(column.null_count for column in table.columns):
        raise ValueError("an id that is missing")
    return {name: (len(table), pc.count_distinct(table[name]).as_py() == len(table)) for name in form.names}
