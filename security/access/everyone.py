"""What Kubernetes grants every user that it knows, and every service account.

As its own bootstrap policy has it (kubernetes/kubernetes, plugin/pkg/auth/authorizer/rbac/bootstrappolicy: the roles
`system:basic-user`, `system:discovery`, `system:public-info-viewer`, and for service accounts
`system:service-account-issuer-discovery`, whose addresses later versions have with a slash behind them as well).
Whatever a cluster grants everybody beyond that, it grants the deployer too.
"""

from collections.abc import Collection

from security.access.grants import Excess

_BASIC = (
    ("create", "selfsubjectaccessreviews", "authorization.k8s.io"),
    ("create", "selfsubjectrulesreviews", "authorization.k8s.io"),
    ("create", "selfsubjectreviews", "authentication.k8s.io"),
)
_DISCOVERY = (
    "/api", "/api/*", "/apis", "/apis/*", "/healthz", "/livez", "/openapi", "/openapi/*", "/readyz", "/version",
    "/version/",
)  # fmt: skip
_PUBLIC = ("/healthz", "/livez", "/readyz", "/version", "/version/")
_ISSUER = (
    "/.well-known/openid-configuration", "/.well-known/openid-configuration/", "/openid/v1/jwks", "/openid/v1/jwks/",
)  # fmt: skip
KNOWN = frozenset(
    {
        *(Excess(verb, resource, group) for verb, resource, group in _BASIC),
        *(Excess("get", path) for path in (*_DISCOVERY, *_PUBLIC)),
    }
)
"""What whoever is known has, as rules spell it: an address with a star is that very address, no other with a star."""
ACCOUNTS = KNOWN | {Excess("get", path) for path in _ISSUER}
"""The same of a service account."""


def everyone(groups: Collection[str]) -> frozenset[Excess]:
    """What whoever is in these groups has anyway."""
    return ACCOUNTS if "system:serviceaccounts" in groups else KNOWN
