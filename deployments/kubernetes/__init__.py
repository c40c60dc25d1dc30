"""What runs on a cluster: manifests as data, rendered from a few values, and how a release of them is rolled out.

`place` puts it beside the one that serves and asks it, `switch` leads callers to it, `rollback` to an earlier one;
`lease` lays beside them what says which may serve; `status` and `diff` tell what is there; `probe` is what a job in
the cluster runs. Nothing here knows Prefect, or decides whether a release may go there.
"""
