"""The endpoint as one would write it plainly, in FastAPI: what the service's speed is measured beside.

It checks the same token, asks the same model and answers the same properties; it limits, counts and logs nothing.
`python -m tests.benchmarks.plain RELEASE KEY JWKS ISSUER AUDIENCE PORT HTTP`; HTTP is `h11`, as uvicorn comes alone, or
`auto`: whatever uvicorn finds, here a parser and a loop in C.
"""

import json
import sys
from pathlib import Path
from typing import Annotated

import uvicorn
from fastapi import Depends, FastAPI, HTTPException, Query
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet
from pydantic import BaseModel

from deployments.serving.load import load
from security.keys import PublicKey

PATH = "/api/v1/recommendations"


class Item(BaseModel):
    """One recommended item."""

    item: str
    score: float


class Answer(BaseModel):
    """The answer for one user."""

    user: str
    model: str
    items: list[Item]
    basis: str


def application(release: str, key: str, jwks: str, issuer: str, audience: str) -> FastAPI:
    """The service, written plainly."""
    model = load(Path(release), PublicKey.read(Path(key)))
    keys = KeySet.import_key_set(json.loads(Path(jwks).read_text()))
    named = {"iss": issuer, "aud": audience}
    app, bearer = FastAPI(), HTTPBearer()

    def claims(told: Annotated[HTTPAuthorizationCredentials, Depends(bearer)]) -> dict[str, str]:
        try:
            token = jwt.decode(told.credentials, keys, algorithms=["ES256"])
            wanted = {name: {"essential": True, "value": value} for name, value in named.items()}
            jwt.JWTClaimsRegistry(exp={"essential": True}, **wanted).validate(token.claims)  # type: ignore[arg-type]
        except (JoseError, ValueError):
            raise HTTPException(401) from None
        return dict(token.claims)

    @app.get(PATH)
    async def recommendations(
        user: Annotated[str, Query(min_length=1, max_length=256)],
        caller: Annotated[dict[str, str], Depends(claims)],
        k: Annotated[int, Query(ge=1, le=100)] = 10,
    ) -> Answer:
        if user != caller["sub"] or "recommend:read" not in caller["scope"].split():
            raise HTTPException(403)
        best, basis = model.recommend(user, k)
        items = [Item(item=item, score=score) for item, score in best]
        return Answer(user=user, model=model.digest, items=items, basis=basis)

    return app


if __name__ == "__main__":
    # The loop goes with the parser: what has neither package has asyncio's.
    loop = {"h11": "asyncio", "auto": "auto"}[sys.argv[7]]
    uvicorn.run(application(*sys.argv[1:6]), port=int(sys.argv[6]), http=sys.argv[7], loop=loop, access_log=False)
