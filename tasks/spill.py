"""Rows that are more than fit into memory: a DuckDB table that spills into a private folder, wiped when it is closed.

DuckDB sees no file but its own spill, loads no extension, and compares text by its UTF-8 bytes, which is the order of
its code points.
"""

import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import duckdb
import pyarrow as pa

from security.rows.columns import COLUMNS, SCHEMA

MEMORY = "400MB"
"""What DuckDB may hold; beyond it, it spills."""
BATCH = 1 << 17
"""Rows of a batch that is handed out, about."""
ROWS = pa.schema([SCHEMA.field(name) for name in COLUMNS])
_CONFIG: dict[str, Any] = {
    "memory_limit": MEMORY,
    "preserve_insertion_order": False,
    "enable_external_access": False,
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
    "python_enable_replacements": False,
}


class Spill:
    """One table of rows: user, item, type, and time in microseconds. `within` is where the private folder is made."""

    def __init__(self, batches: Iterable[pa.RecordBatch], within: Path | None = None, memory: str = MEMORY) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="spill-", dir=within)
        self._base: duckdb.DuckDBPyConnection | None = None
        self._once = False
        try:
            told = {"temp_directory": self._folder.name, "memory_limit": memory}
            self._base = duckdb.connect(config=_CONFIG | told)
            self._fill(batches)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, why: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Forget everything."""
        try:
            if self._base is not None:
                self._base.close()
        finally:
            self._folder.cleanup()

    @property
    def count(self) -> int:
        """How many rows."""
        ((count,),) = self._run("select count(*) from rows")
        return int(count)

    def deduplicate(self) -> None:
        """Each row once."""
        self._replace("select distinct * from rows")
        self._once = True

    def without(self, users: Iterable[str]) -> None:
        """Drop the rows of these users."""
        with self._given("gone", pa.table({"user_id": pa.array(users, pa.string())}).to_reader()):
            self._replace("select * from rows anti join gone using (user_id)")

    @property
    def catalogue(self) -> int:
        """How many different items."""
        ((count,),) = self._run("select count(distinct item_id) from rows")
        return int(count)

    def accounts(self) -> Iterator[pa.RecordBatch]:
        """Each row once, as user, item and time, and how often it is there; an account's rows together, by time."""
        counted = "1::bigint as times from rows"
        if not self._once:
            counted = "count(*) as times from rows group by user_id, item_id, interaction_type, timestamp"
        return self._stream(f"select user_id, item_id, timestamp, {counted} order by user_id, timestamp")

    def ordered(self) -> Iterator[pa.RecordBatch]:
        """All rows by time, then by user, item and type."""
        return self._stream("select * from rows order by timestamp, user_id, item_id, interaction_type")

    def _fill(self, batches: Iterable[pa.RecordBatch]) -> None:
        broken: list[BaseException] = []

        def rows() -> Iterator[pa.RecordBatch]:
            try:
                for batch in batches:
                    yield batch.select(list(COLUMNS))
            except BaseException as why:
                broken.append(why)
                raise

        try:
            with self._given("given", pa.RecordBatchReader.from_batches(ROWS, rows())):
                self._run("create table rows as select * from given")
        except duckdb.Error:
            if broken:
                # What went wrong with the rows, not what DuckDB makes of it.
                raise broken[0] from None
            raise

    def _given(self, name: str, reader: pa.RecordBatchReader) -> "_Given":
        return _Given(self._connection, name, reader)

    def _replace(self, query: str) -> None:
        self._run(f"create table next as {query}")
        self._run("drop table rows")
        self._run("alter table next rename to rows")

    @property
    def _connection(self) -> Any:
        if self._base is None:
            raise ValueError("no database")
        return self._base

    def _run(self, query: str) -> list[tuple[Any, ...]]:
        rows: list[tuple[Any, ...]] = self._connection.execute(query).fetchall()
        return rows

    def _stream(self, query: str) -> Iterator[pa.RecordBatch]:
        with self._connection.sql(query).to_arrow_reader(BATCH) as reader:
            yield from reader


class _Given:
    """An Arrow stream under a name that queries can use, once."""

    def __init__(self, connection: Any, name: str, reader: pa.RecordBatchReader) -> None:
        self.connection, self.name, self.reader = connection, name, reader

    def __enter__(self) -> None:
        self.connection.register(self.name, self.reader)

    def __exit__(self, *_: object) -> None:
        self.connection.unregister(self.name)
