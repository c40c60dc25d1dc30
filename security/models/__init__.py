"""The registry of models: what a model consists of, what is said about it, which versions there are, and what of all
that is valid now. Reads and writes bytes; where they lie is no business of this package."""
