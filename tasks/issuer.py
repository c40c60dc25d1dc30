"""The token issuer of the target `local`: its name, audience and tenant, and short-lived tokens. Elsewhere it is not
ours."""

from typing import Any

from deployments.serving.token import mint
from tasks import signer
from tasks.home import Home

ISSUER, AUDIENCE, TENANT = "urn:sluice:local", "recommendations", "local"


def token(home: Home, *, sub: str | None, **claims: Any) -> str:
    """A short-lived access token for one user, by who signs for the home. `claims` replace the usual ones."""
    usual: dict[str, Any] = {"iss": ISSUER, "aud": AUDIENCE, "tenant": TENANT, "sub": sub}
    return mint(signer.keys(home).token, **{**usual, **claims})
