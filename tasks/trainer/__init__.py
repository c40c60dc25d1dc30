"""The training, in a process of its own that is confined before the code that trains is imported: it can read the
interpreter, the packages and this pipeline's code, and nothing else; it has no key, no network and no other process.

What it works on comes as open files, and what it made goes back by one. `form` is what both sides say to each other,
`ask` the side of the run, `process` the process.
"""
