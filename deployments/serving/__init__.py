"""The recommendation service: one process that answers for one signed release, on this machine's loopback.

`load` believes a release only by its signature; `token` believes a caller only by a signed, complete, fresh token;
`app` answers, and says nothing to anybody else; `__main__` binds, says when it listens, and ends when told to. It
imports the verification that `security` offers and nothing else of ours.
"""
