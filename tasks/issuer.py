"""The token issuer of the target `local`: its name, audience and tenant, and short-lived tokens. Elsewhere it is not
ours."""

from typing import Any

from deployments.serving.token import mint
from security.keys import UnsafeLocalKeys
from tasks.home import Home

ISSUER, AUDIENCE, TENANT = "urn:sluice:local", "recommendations", "local"


def token(home: Home, *, sub: str | None, **claims: Any) -> str:
    """A short-lived access token for one user, signed with the home's issuer key. `claims` replace the usual ones."""
    usual: dict[str, Any] = {"iss": ISSUER, "aud": AUDIENCE, "tenant": TENANT, "sub": sub}
    return mint(UnsafeLocalKeys(home.root / "keys").path("issuer"), **{**usual, **claims})
