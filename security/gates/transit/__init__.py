"""Encryption in transit: the way between the pipeline and the bucket that data comes from.

Three legs: what the bucket's policy denies, how the pipeline's own client was resolved, and what the endpoint takes up
when it is offered what it must refuse. That a certificate is verified is shown by handshakes that must fail.
"""

from security.gates.transit.gate import DataEncryptionInTransit, Limits

__all__ = ["DataEncryptionInTransit", "Limits"]
