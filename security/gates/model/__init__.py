"""Model signature: the folder of a model is what the producer signed, unexpired, and no older than allowed.

Signatures are OpenSSF model signatures: `model.sig` is a sigstore bundle v0.3 with a DSSE envelope (PAE of DSSE 1.0.2)
around an in-toto Statement v1 of predicate type `https://model_signing/signature/v1.0`. Such a signature knows neither
name nor age, so the signed `model.json` (`Card`) says both. The library's verifier takes the list of what to overlook
from the signature and accepts two older formats; here the signed list must be exactly the files that were read.
"""

from security.gates.model.facts import Card, Entry, Facts, Limits, held, material
from security.gates.model.gate import ModelSignature
from security.gates.model.signature import Foreign, contents, describe, release, sign, signer

__all__ = [
    "Card",
    "Entry",
    "Facts",
    "Foreign",
    "Limits",
    "ModelSignature",
    "contents",
    "describe",
    "held",
    "material",
    "release",
    "sign",
    "signer",
]
