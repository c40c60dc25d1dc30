"""Outside systems that gates share: what asks them, and what reads their answers."""
