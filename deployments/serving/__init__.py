"""The recommendation service: one process that answers for one signed release, on this machine's loopback.

`load` believes a release only by its signature, `log` holds it to the log of the run that made it, and `lease` asks the
registry whether it still counts; where there is none, `grant` holds the verifier's word that it may serve for a while.
`token` believes a caller only by a signed, complete, fresh token of a key in `keyset`; `limit` counts what each caller
asks; `wire` says what is a request, `protocol` how long it may take, `reply` sends what comes of it; `app` answers, by
the forms of `schema` and `body`, and says nothing to anybody else; `metrics` and `openapi` tell what was asked and what
there is; `__main__` binds, says when it listens, and ends when told to. It imports the verification that `security`
offers and nothing else of ours.
"""
