"""What whoever deploys may do at the API server, by the server's own reviews; and whether target and images are listed.

A cluster is asked, live, as the identity that deploys. Where the target is a process of this machine nobody is asked,
and the verdict says so (cause `process`). Where the server says that its list of rules is not complete, as one with an
authorizer of its own beside RBAC does, what was asked by name is judged, and that anything else may be allowed is left
open (cause `incomplete`).
"""

from security.gates.deployer.facts import Facts, Limits
from security.gates.deployer.gate import DeploymentAuthorization
from security.gates.deployer.judge import who

__all__ = ["DeploymentAuthorization", "Facts", "Limits", "who"]
