"""Whether data has moved away from a reference that is kept as a profile: counts and keyed hashes, never values."""
