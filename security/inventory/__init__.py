"""What something runs on: the system, its packages, its interpreters and their distributions, read from bytes alone.

A tree of files is the same thing whether it is a running system's or was put together from the layers of an image, and
one reader tells what is in it. Nothing that is read is run, and nothing in it is obeyed.
"""

from security.inventory.record import Database, Dist, Interpreter, Inventory, Package, System
from security.inventory.tree import Node, Tree

__all__ = ["Database", "Dist", "Interpreter", "Inventory", "Node", "Package", "System", "Tree"]
