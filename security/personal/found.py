"""What a finding is, and what is never found without a model of a language. Light: judges know it without an engine."""

UNSEEN = ("LOCATION", "NRP", "ORGANIZATION", "PERSON")
"""What only a model of a language finds."""
Found = tuple[str, int, int, float]
"""Entity, start and end in the text, score."""
