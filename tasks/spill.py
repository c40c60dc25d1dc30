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

MEMORY = "600MB"
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
    """One table of rows: user, item, type, and time in microseconds, and what `schema` has more. `within` is where the
    private folder is made."""

    def __init__(
        self,
        batches: Iterable[pa.RecordBatch],
        within: Path | None = None,
        memory: str = MEMORY,
        schema: pa.Schema = ROWS,
    ) -> None:
        self._schema = schema
        self._folder = tempfile.TemporaryDirectory(prefix="spill-", dir=within)
        self._base: duckdb.DuckDBPyConnection | None = None
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

    def catalogue(self, without: Iterable[str] = ()) -> int:
        """How many different items there are among the rows of everybody but these users."""
        query = "select count(distinct item_id) from rows"
        gone = pa.table({"user_id": pa.array(without, pa.string())})
        with self._given("gone", gone.to_reader()):
            ((count,),) = self._run(f"{query} anti join gone using (user_id)" if len(gone) else query)
        return int(count)

    def ordered(self) -> Iterator[pa.RecordBatch]:
        """All rows by user, then by time; those that agree in both in any order."""
        query = "select * from rows order by user_id, timestamp"
        with self._connection.sql(query).to_arrow_reader(BATCH) as reader:
            yield from reader

    def _fill(self, batches: Iterable[pa.RecordBatch]) -> None:
        broken: list[BaseException] = []

        def rows() -> Iterator[pa.RecordBatch]:
            try:
                for batch in batches:
                    yield batch.select(self._schema.names)
            except BaseException as why:
                broken.append(why)
                raise

        try:
            with self._given("given", pa.RecordBatchReader.from_batches(self._schema, rows())):
                self._run("create table rows as select * from given")
        except duckdb.Error:
            if broken:
                # What went wrong with the rows, not what DuckDB makes of it.
                raise broken[0] from None
            raise

    def _given(self, name: str, reader: pa.RecordBatchReader) -> "_Given":
        return _Given(self._connection, name, reader)

    @property
    def _connection(self) -> Any:
        if self._base is None:
            raise ValueError("no database")
        return self._base

    def _run(self, query: str) -> list[tuple[Any, ...]]:
        rows: list[tuple[Any, ...]] = self._connection.execute(query).fetchall()
        return rows


class _Given:
    """An Arrow stream under a name that queries can use, once."""

    def __init__(self, connection: Any, name: str, reader: pa.RecordBatchReader) -> None:
        self.connection, self.name, self.reader = connection, name, reader

    def __enter__(self) -> None:
        self.connection.register(self.name, self.reader)

    def __exit__(self, *_: object) -> None:
        self.connection.unregister(self.name)
