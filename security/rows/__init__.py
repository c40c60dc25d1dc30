"""Rows of interaction logs, read once and as they are: one reader for every gate and task."""

from security.rows.reader import LINE, ROWS, lines, read

__all__ = ["LINE", "ROWS", "lines", "read"]
