"""Access control of the bucket that data comes from: who may read it, who may change it, and over what.

What a bucket declares is compared with what it does: a policy that looks closed on a server that does not enforce it
is found by the probes, and a public policy that nobody reaches today is found by reading it. "Not configured" is a
finding; "not allowed to look", an answer that is missing, and one that neither grants nor refuses are inconclusive.
"""

from security.gates.bucket.gate import AccessControlS3, Limits

__all__ = ["AccessControlS3", "Limits"]
