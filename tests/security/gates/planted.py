"""Secrets of every kind, and what merely looks like one: made at run time, so that none lies in this checkout."""

import json
import random
import string
import uuid
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Callable
from typing import NamedTuple

from security.engines.checksum import crc
from security.gates.secrets import made
from security.gates.secrets.made import LETTERS, some

HEX = string.digits + "abcdef"
PUNCTUATED = LETTERS + "!%*^_-+"


class Planted(NamedTuple):
    """A file with one secret: its name, its text, and the value that nobody may show."""

    name: str
    text: str
    value: str


def strong(draw: random.Random, of: str = PUNCTUATED, count: int = 16) -> str:
    """A password of several kinds of characters."""
    return f"{some(draw, of, count - 4)}q7Zx"


def packed(data: bytes) -> str:
    return urlsafe_b64encode(data).decode().rstrip("=")


def jwt(draw: random.Random) -> str:
    head = packed(b'{"alg":"HS256","typ":"JWT"}')
    body = packed(json.dumps({"sub": some(draw, HEX, 12), "iat": draw.randrange(1 << 30)}).encode())
    return f"{head}.{body}.{some(draw, LETTERS, 43)}"


def pypi(draw: random.Random) -> str:
    return "pypi-AgEIcHlwaS5vcmc" + some(draw, LETTERS, 120)


def npm(draw: random.Random) -> str:
    body = some(draw, LETTERS, 30)
    return f"npm_{body}{crc(body)}"


def _line(before: str, value: Callable[[random.Random], str], after: str = "", name: str = "part.py") -> "Kind":
    def make(draw: random.Random) -> Planted:
        told = value(draw)
        return Planted(name, f"{before}{told}{after}", told)

    return make


Kind = Callable[[random.Random], Planted]


def _kubernetes(draw: random.Random) -> Planted:
    value = b64encode(strong(draw).encode()).decode()
    text = f"apiVersion: v1\ndata:\n  blob: {value}\nkind: Secret\nmetadata:\n  name: one\n"
    return Planted("secret.yaml", text, value)


def _account(draw: random.Random) -> Planted:
    key = made.pem(draw)
    text = json.dumps({"type": "service_account", "private_key": key, "client_email": "a@b.example"}, indent=1)
    return Planted("account.json", text, key.splitlines()[1])


def _notebook(draw: random.Random) -> Planted:
    value = strong(draw)
    cell = {"cell_type": "code", "source": ["import os\n", f'password = "{value}"\n'], "outputs": []}
    return Planted("work.ipynb", json.dumps({"cells": [cell], "nbformat": 4}), value)


def _pem(draw: random.Random) -> Planted:
    text = made.pem(draw)
    return Planted("id", text, text.splitlines()[1])


def _docker(draw: random.Random) -> Planted:
    value = b64encode(f"me:{strong(draw)}".encode()).decode()
    return Planted("config.json", json.dumps({"auths": {"ghcr.io": {"auth": value}}}), value)


def _of(alphabet: str, count: int, prefix: str = "") -> Callable[[random.Random], str]:
    return lambda draw: prefix + some(draw, alphabet, count)


KINDS: dict[str, Kind] = {
    "aws-access-key": _line("key = '", made.aws, "'"),
    "aws-secret-key": _line("AWS_SECRET_ACCESS_KEY=", _of(LETTERS + "+/", 40), name=".env"),
    "github-token": _line("curl -H 'token ", made.github, "'", name="run.sh"),
    "github-fine-grained-token": _line(
        "", lambda draw: f"github_pat_{some(draw, LETTERS, 22)}_{some(draw, LETTERS, 59)}"
    ),
    "gitlab-token": _line("x = ", _of(LETTERS, 20, "glpat-")),
    "slack-token": _line("x = ", made.slack),
    "slack-webhook": _line(
        "https://hooks.slack.com/services/",
        lambda draw: f"T{some(draw, LETTERS.upper(), 9)}/B{some(draw, LETTERS.upper(), 9)}/{some(draw, LETTERS, 24)}",
    ),
    "google-api-key": _line("key: ", _of(LETTERS, 35, "AIza"), name="a.yaml"),
    "service account": _account,
    "private key": _pem,
    "jwt": _line("Cookie: ", jwt, name="log.txt"),
    "npm-token": _line("//registry.npmjs.org/:_authToken=", npm, name=".npmrc"),
    "pypi-token": _line("  password = ", pypi, name=".pypirc"),
    "stripe-key": _line("x = ", made.stripe),
    "twilio-key": _line("x = ", _of(HEX, 32, "SK")),
    "sendgrid-key": _line("x = ", made.sendgrid),
    "azure": _line(
        "DefaultEndpointsProtocol=https;AccountName=x;AccountKey=",
        lambda draw: b64encode(draw.randbytes(64)).decode(),
        ";EndpointSuffix=core.windows.net",
    ),
    "dsn": _line("postgresql+psycopg://app:", _of(LETTERS, 14, "q7"), "@db.example.org:5432/app"),
    "basic auth": _line("git clone https://me:", _of(LETTERS, 12, "q7"), "@example.org/x.git", name="README.md"),
    "assigned": _line('db_password = "', strong, '"'),
    "assigned in YAML": _line("  admin_password: ", strong, name="values.yaml"),
    "assigned in JSON": _line('{"api_key": "', strong, '"}', name="a.json"),
    "assigned in code of Go": _line('\tapiKey := "', strong, '"', name="main.go"),
    "assigned in words": _line("SMTP_PASSWORD=", strong, name="notes.md"),
    "hugging-face-token": _line("x = ", lambda draw: "hf_" + some(draw, string.ascii_letters, 34)),
    "openai-key": _line("x = ", lambda draw: f"sk-{some(draw, LETTERS, 20)}T3BlbkFJ{some(draw, LETTERS, 20)}"),
    "openai-project-key": _line(
        "x = ", lambda draw: f"sk-proj-{some(draw, LETTERS, 74)}T3BlbkFJ{some(draw, LETTERS, 74)}"
    ),
    "anthropic-key": _line("x = ", lambda draw: f"sk-ant-api03-{some(draw, LETTERS, 93)}AA"),
    "prefect-key": _line("PREFECT_API_KEY=", _of(LETTERS, 36, "pnu_"), name=".env"),
    "kubernetes": _kubernetes,
    "dotenv": _line("export DJANGO_SECRET_KEY=", strong, name=".env.production"),
    "notebook": _notebook,
    "docker": _docker,
    "netrc": _line("machine example.org login me password ", strong, name=".netrc"),
    "bearer": _line("Authorization: Bearer ", _of(LETTERS, 40), name="a.http"),
    "vault-token": _line("x = ", _of(LETTERS, 90, "hvs.")),
}
"""By name; the line says what a rule has to go by."""


def _public(draw: random.Random) -> str:
    rows = "\n".join(b64encode(draw.randbytes(48)).decode() for _ in range(4))
    return f"-----BEGIN PUBLIC KEY-----\n{rows}\n-----END PUBLIC KEY-----"


def _broken(token: str) -> str:
    """A token whose sum is that of another."""
    return token[:-1] + ("0" if token[-1] != "0" else "1")


NEGATIVES: dict[str, tuple[str, Callable[[random.Random], str]]] = {
    "hash": ("a.py", lambda draw: f'SHA = "{some(draw, HEX, 64)}"'),
    "lock": ("requirements.lock", lambda draw: f"    --hash=sha256:{some(draw, HEX, 64)}"),
    "integrity": ("package-lock.json", lambda draw: f'"integrity": "sha512-{b64encode(draw.randbytes(64)).decode()}"'),
    "commit": ("a.yaml", lambda draw: f"uses: actions/checkout@{some(draw, HEX, 40)}"),
    "uuid": ("a.py", lambda draw: f'run_id = "{uuid.UUID(int=draw.getrandbits(128))}"'),
    "uuid of a token": ("a.py", lambda draw: f'token_id = "{uuid.UUID(int=draw.getrandbits(128))}"'),
    "image": ("a.css", lambda draw: f"url(data:image/png;base64,{b64encode(draw.randbytes(900)).decode()})"),
    "public key": ("a.pem", _public),
    "ssh public key": ("a.pub", lambda draw: f"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI{some(draw, LETTERS, 43)} me@x"),
    "url": ("a.md", lambda draw: f"https://example.org/{some(draw, LETTERS, 30)}?page={draw.randrange(99)}"),
    "url with a port": (
        "a.yaml",
        lambda draw: f"url: http://host:{draw.randrange(1024, 9999)}/x@{some(draw, LETTERS, 9)}",
    ),
    "mail": ("a.txt", lambda draw: f"From: {some(draw, LETTERS, 9)}@example.org"),
    "reference": ("a.yaml", lambda draw: f"password: ${{{some(draw, string.ascii_uppercase, 9)}}}"),
    "reference of an action": (
        "a.yaml",
        lambda draw: f"token: ${{{{ secrets.{some(draw, string.ascii_uppercase, 9)} }}}}",
    ),
    "environment": ("a.py", lambda draw: f'password = os.environ["{some(draw, string.ascii_uppercase, 9)}"]'),
    "named by the environment": ("a.yaml", lambda draw: f"secret: env:{some(draw, string.ascii_uppercase, 9)}"),
    "blank": ("a.env", lambda draw: f"API_KEY=<your-{draw.choice(('token', 'api-key', 'secret'))}>"),
    "changeme": (
        "a.env",
        lambda draw: f"PASSWORD={draw.choice(('changeme', 'your-password-here', 'xxxxxxxxxx', 'example'))}",
    ),
    "type": (
        "a.py",
        lambda draw: f"def f(password: str, token: {draw.choice(('SecretStr', 'str | None'))}) -> None: ...",
    ),
    "call": ("a.py", lambda draw: f"token = tokens.{draw.choice(('fresh', 'issue'))}(user, days={draw.randrange(9)})"),
    "expression": ("a.ts", lambda draw: f"const password = form.values.password{draw.randrange(9)};"),
    "words": (
        "a.yaml",
        lambda draw: f"description: the secret of the {draw.choice(('cake', 'sea', 'house'))} is in its layers",
    ),
    "kubernetes reference": ("a.yaml", lambda _: "secretKeyRef:\n  name: database\n  key: password"),
    "header alone": (
        "a.py",
        lambda _: 'if text.startswith("-----BEGIN RSA PRIVATE KEY-----"):\n    raise ValueError(text)',
    ),
    "wrong sum": ("a.py", lambda draw: f'x = "{_broken(made.github(draw))}"'),
    "documented": ("a.md", lambda _: "AWS_ACCESS_KEY_ID=" + "AKIA" + "IOSFODNN7" + "EXAMPLE"),
    "primary key": (
        "a.sql",
        lambda draw: f"PRIMARY KEY (user_id), KEY idx_{some(draw, string.ascii_lowercase, 8)} (a)",
    ),
    "translation": ("a.json", lambda _: '{"password": "Password", "forgot_password": "Forgot your password?"}'),
    "tokenizer": ("a.json", lambda _: '{"unk_token": "<unk>", "pad_token": "[PAD]", "max_tokens": 4096}'),
}
"""What is no secret, by name."""
