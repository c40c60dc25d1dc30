"""Personal data in cells of text: what Presidio finds, found fast."""
