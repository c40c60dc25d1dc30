"""Dependencies: what is locked, what is known of it."""
