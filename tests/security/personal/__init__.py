"""Personal data in cells."""
