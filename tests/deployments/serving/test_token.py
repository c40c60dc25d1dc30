"""Tokens: what is believed, what is not, and each claim by itself."""

import base64
import json
import time
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet, OctKey

from deployments.serving.keyset import jwks, keyset
from deployments.serving.token import ANY, READ, Denied, UnsafeAcceptsExpired, Verifier, mint
from security.errors import KeyBroken
from security.keys import PublicKey
from tests.deployments.serving import twins


def pem(curve: ec.EllipticCurve | None = None) -> bytes:
    """A fresh private key."""
    key = ec.generate_private_key(curve or ec.SECP256R1())
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def public(private: bytes) -> PublicKey:
    """Its public part."""
    key = serialization.load_pem_private_key(private, None)
    form = serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    return PublicKey(key.public_key().public_bytes(*form))


ISSUER, OTHER = pem(), pem()
KEYS = jwks(public(ISSUER))
new = partial(mint, ISSUER, iss="issuer", aud="here", sub="u1", tenant="shop")
NOW = int(time.time())
"""When these tests began; they end within 3,000 s."""


def verifier(kind: type[Verifier] = Verifier, **more: Any) -> Verifier:
    """A verifier of the issuer's tokens."""
    return kind(keyset(KEYS), "issuer", "here", "shop", **more)


def refused(token: str, kind: type[Verifier] = Verifier) -> Denied:
    """Why the token is not believed."""
    with pytest.raises(Denied) as why:
        verifier(kind).bearer([f"Bearer {token}"])
    assert why.value.challenge.startswith("Bearer")
    return why.value


def test_a_right_token_is_believed() -> None:
    bearer = verifier().bearer([f"Bearer {new(scope=f'{READ} {ANY}')}"])
    assert (bearer.subject, bearer.scopes) == ("u1", frozenset({READ, ANY}))
    assert verifier().bearer([f"bearer {new(aud=['elsewhere', 'here'])}"]).subject == "u1"


@pytest.mark.parametrize("claim", ["exp", "nbf", "iat", "iss", "aud", "sub", "tenant", "scope"])
def test_every_claim_is_essential(claim: str) -> None:
    without: dict[str, Any] = {claim: None}
    assert refused(new(**without)).status == 401


@pytest.mark.parametrize(
    ("claim", "value"),
    [
        pytest.param("exp", NOW - 30, id="exp-past"),
        ("exp", "never"),
        ("exp", True),
        pytest.param("nbf", NOW + 90_000, id="nbf-to-come"),
        pytest.param("iat", NOW + 90_000, id="iat-to-come"),
        ("iss", "issuer.other"),
        ("iss", ["issuer"]),
        ("aud", "her"),
        ("aud", []),
        ("aud", [1]),
        ("sub", ""),
        ("sub", 7),
        ("scope", ""),
        ("scope", [READ]),
        ("tenant", ""),
        ("tenant", "shop.other"),
        ("tenant", ["shop"]),
        ("tenant", ["shop", "other"]),
    ],
)
def test_a_claim_must_hold(claim: str, value: Any) -> None:
    other: dict[str, Any] = {claim: value}
    assert refused(new(**other)).status == 401


def test_nan_is_no_time() -> None:
    assert refused(new(exp=float("nan"))).status == 401


@pytest.mark.parametrize("offset", [-7, -3])
def test_leeway_is_as_given(offset: int) -> None:
    late = verifier(leeway=5, clock=lambda: NOW)
    token = [f"Bearer {new(iat=NOW - 90, nbf=NOW - 90, exp=NOW + offset)}"]
    if offset < -5:
        with pytest.raises(Denied):
            late.bearer(token)
    else:
        assert late.bearer(token).subject == "u1"


@pytest.mark.parametrize("leeway", [-1, 6, 60])
def test_leeway_has_bounds(leeway: int) -> None:
    with pytest.raises(KeyBroken, match="0 to 5"):
        verifier(leeway=leeway)


@pytest.mark.parametrize("names", [("", "here", "shop"), ("issuer", "", "shop"), ("issuer", "here", "")])
def test_issuer_audience_and_tenant_are_named(names: tuple[str, str, str]) -> None:
    with pytest.raises(KeyBroken, match="named"):
        Verifier(keyset(KEYS), *names)


def forged(header: dict[str, Any], key: ECKey | OctKey, algorithm: str) -> str:
    """The right claims under another header."""
    now = int(time.time())
    claims = {"exp": now + 3000, "nbf": now, "iat": now, "iss": "issuer", "aud": "here", "sub": "u1", "scope": READ}
    claims["tenant"] = "shop"
    return jwt.encode({"alg": algorithm, **header}, claims, key, algorithms=[algorithm])


def test_another_key_is_not_believed_whatever_it_says_of_itself() -> None:
    own, kid = ECKey.import_key(OTHER), ECKey.import_key(ISSUER).thumbprint()
    assert refused(mint(OTHER, iss="issuer", aud="here", sub="u1", tenant="shop")).status == 401
    assert refused(forged({"kid": kid}, own, "ES256")).status == 401
    assert refused(forged({"kid": kid, "jwk": own.as_dict(private=False)}, own, "ES256")).status == 401


def test_a_header_parameter_that_is_not_needed_is_refused_under_the_right_key() -> None:
    right = ECKey.import_key(ISSUER)
    assert verifier().bearer([f"Bearer {forged({'kid': right.thumbprint()}, right, 'ES256')}"]).subject == "u1"
    assert refused(forged({"kid": right.thumbprint(), "jku": "https://keys.test/"}, right, "ES256")).status == 401


@pytest.mark.parametrize(
    "header",
    ["[" * 5000, "[]", "7", "null", "{", b"\xff", {"crit": 5}, {"crit": ["b64"]}, {"kid": 5}, {"kid": ["KID"]}]
    + [{"typ": 5}, {"alg": 5}, {"alg": None}, {"alg": {}}, {"b64": False}, {"kid": None}, {"x5c": 5}, {"zip": 5}],
    ids=range(18),
)
def test_a_header_of_another_form_is_refused_and_nothing_breaks(header: Any) -> None:
    if isinstance(header, dict):
        header = json.dumps({"alg": "ES256", "kid": ECKey.import_key(ISSUER).thumbprint(), **header})
    text = header if isinstance(header, bytes) else header.encode()
    head = base64.urlsafe_b64encode(text).rstrip(b"=").decode()
    denied = refused(".".join((head, *new().split(".")[1:])))
    assert (denied.status, str(denied)) == (401, "the token is not valid here")


def test_a_secret_is_not_a_key_and_none_is_not_an_algorithm() -> None:
    secret = json.loads(KEYS)["keys"][0]["x"].encode()
    assert refused(forged({}, OctKey.import_key(base64.urlsafe_b64encode(secret)), "HS256")).status == 401
    head = base64.urlsafe_b64encode(b'{"alg":"none"}').rstrip(b"=").decode()
    body = new().split(".")[1]
    assert "one bearer" in str(refused(f"{head}.{body}."))
    assert refused(f"{head}.{body}.AA").status == 401


@pytest.mark.parametrize("headers", [["Basic dTE6"], ["Bearer"], ["Bearer a.b"], ["Bearer a.b.c d"], [""]])
def test_only_one_bearer_header_is_read(headers: list[str]) -> None:
    with pytest.raises(Denied) as why:
        verifier().bearer(headers)
    assert why.value.status == 401
    with pytest.raises(Denied):
        verifier().bearer([f"Bearer {new()}"] * 2)
    with pytest.raises(Denied, match="needed"):
        verifier().bearer([])


@given(st.integers(0, 10_000), st.integers(1, 255))
def test_a_changed_byte_is_never_believed(place: int, change: int) -> None:
    token = new()
    place %= len(token)
    letter = chr((ord(token[place]) + change) % 128)
    altered = token[:place] + letter + token[place + 1 :]
    if altered != token:
        try:
            bearer = verifier().bearer([f"Bearer {altered}"])
        except Denied:
            return
        # Base64url leaves the last four bits of the signature's text unused.
        assert place == len(token) - 1
        assert bearer.subject == "u1"


def test_scope_and_user_are_asked_for() -> None:
    mine = verifier().bearer([f"Bearer {new()}"])
    verifier().allow(mine)
    verifier().allow(mine, "u1")
    with pytest.raises(Denied, match="another user") as why:
        verifier().allow(mine, "u2")
    assert why.value.status == 403
    everybody = verifier().bearer([f"Bearer {new(scope=f'{READ} {ANY}')}"])
    verifier().allow(everybody, "u2")
    for scope in ("recommend:write", ANY, "recommend:readx", READ.upper()):
        with pytest.raises(Denied, match="not for this"):
            verifier().allow(verifier().bearer([f"Bearer {new(scope=scope)}"]), "u1")


def test_the_unsafe_one_takes_an_expired_token_and_nothing_else() -> None:
    old = new(iat=NOW - 900, nbf=NOW - 900, exp=NOW - 600)
    assert refused(old).status == 401
    assert verifier(UnsafeAcceptsExpired).bearer([f"Bearer {old}"]).subject == "u1"
    stranger = mint(OTHER, iss="issuer", aud="here", sub="u1", tenant="shop")
    for bad in (new(exp=None), new(aud="elsewhere"), new(iss="x"), new(nbf=NOW + 90_000), stranger):
        refused(bad, UnsafeAcceptsExpired)


def test_the_twins_differ_from_the_verifier() -> None:
    bad = {
        twins.AnyAudience: new(aud="elsewhere"),
        twins.AnyIssuer: new(iss="x"),
        twins.AnyTenant: new(tenant="other"),
        twins.Early: new(nbf=NOW + 90_000),
        twins.NotEssential: new(exp=None),
        twins.AnyKey: mint(OTHER, iss="issuer", aud="here", sub="u1", tenant="shop"),
    }
    for kind, token in bad.items():
        refused(token)
        assert verifier(kind).bearer([f"Bearer {token}"]).subject == "u1"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda entry: entry.update(crv="P-384"), "P-256"),
        (lambda entry: entry.update(kty="RSA"), "P-256"),
        (lambda entry: entry.update(d="AA"), "P-256"),
        (lambda entry: entry.update(use="enc"), "ES256"),
        (lambda entry: entry.update(alg="ES384"), "ES256"),
        (lambda entry: entry.pop("kid"), "with ids"),
        (lambda entry: entry.update(x="AAAA"), "set of P-256"),
    ],
)
def test_a_key_set_holds_public_p256_keys_only(change: Any, says: str) -> None:
    entries = json.loads(KEYS)
    change(entries["keys"][0])
    with pytest.raises(KeyBroken, match=says):
        keyset(json.dumps(entries).encode())


@pytest.mark.parametrize("data", [b"", b"{}", b"[]", b'{"keys": []}', b'{"keys": [1]}', b'{"keys": {}}', b"\xff"])
def test_no_keys_is_an_error(data: bytes) -> None:
    with pytest.raises(KeyBroken):
        keyset(data)


def test_key_ids_are_unique_and_the_set_must_not_be_empty() -> None:
    one = json.loads(KEYS)["keys"][0]
    with pytest.raises(KeyBroken, match="two keys"):
        keyset(json.dumps({"keys": [one, one]}).encode())
    with pytest.raises(KeyBroken, match="without keys"):
        jwks()
    both = keyset(jwks(public(ISSUER), public(OTHER)))
    assert isinstance(both, KeySet)
    other = mint(OTHER, iss="issuer", aud="here", sub="u9", tenant="shop")
    assert Verifier(both, "issuer", "here", "shop").bearer([f"Bearer {other}"])
    assert b'"d"' not in KEYS


def test_mint_takes_a_private_p256_key_and_a_short_time(tmp_path: Path) -> None:
    file = tmp_path / "issuer.pem"
    file.write_bytes(ISSUER)
    short = mint(file, iss="issuer", aud="here", sub="u1", tenant="shop", seconds=60)
    assert verifier().bearer([f"Bearer {short}"]).subject == "u1"
    for key in (pem(ec.SECP384R1()), public(ISSUER).pem, b"nothing", tmp_path / "absent.pem"):
        with pytest.raises(KeyBroken, match="issuer's key"):
            mint(key, iss="issuer", aud="here", sub="u1", tenant="shop")
    for seconds in (0, -1, 3601):
        with pytest.raises(KeyBroken, match="allowed: 1 to 3600"):
            new(seconds=seconds)
