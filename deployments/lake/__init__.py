"""The embedded lake: a strict S3 front over moto, on this machine's loopback, with objects in memory.

`front` serves HTTPS and asks, in this order, `sigv4` (who signed), `payload` (is the body the signed one), `access`
(what the request needs and whether the caller may, by `policy`, lists and ACLs), and only then `store` (moto, which
stores and answers and decides nothing). `server` is the lake of one machine, with its `people` and its `state` folder;
`python -m deployments.lake` runs it, and `sample` is what it can be filled with.

What it declares and does not do: encryption at rest, Object Lock, STS, and `aws:SourceIp` beyond the loopback.
"""
