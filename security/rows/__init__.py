"""Rows of interaction logs, read once and as they are: one reader for every gate and task."""

from security.rows.packing import LINE, ROWS
from security.rows.reader import lines, read

__all__ = ["LINE", "ROWS", "lines", "read"]
