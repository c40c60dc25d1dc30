"""What the producer may do in the registry of models, tried with its own credentials.

A registry that the policy names is asked, live: each attempt is one that must be refused, and does no harm where it is
not. Where the policy names none, the registry is the home's folder: the attempts are entries in a copy of its chains,
which readers must refuse; but a folder asks nobody who he is, and the verdict says so (cause `folder`).
"""

from security.gates.authorization.facts import Facts, Limits
from security.gates.authorization.gate import RegistryAuthorization

__all__ = ["Facts", "Limits", "RegistryAuthorization"]
