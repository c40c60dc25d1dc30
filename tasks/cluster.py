"""The cluster of a target, as the policy names it, spoken to as whoever deploys there.

Which one it is, and by which kubeconfig, the limits of `deployment_authorization` say, so that what is asked for its
rights is what is told to run something.
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from deployments.kubernetes import config
from deployments.kubernetes.client import Client
from deployments.kubernetes.errors import ClusterError
from security.errors import CannotTell, LogBroken
from security.gates.deployer import DeploymentAuthorization, Limits
from security.models.chain import Keys, Move
from security.models.standing import Standing
from tasks import chains, deployer
from tasks.home import Home
from tasks.run import Run

NAME = DeploymentAuthorization.name


class Asked:
    """A server as the gate over who deploys asks it."""

    def __init__(self, client: Client) -> None:
        self.client = client

    @property
    def server(self) -> str:
        """Its address."""
        return self.client.config.server

    @property
    def authority(self) -> str:
        """The certificates (PEM) by which alone it is believed."""
        return self.client.config.authority

    def ask(self, method: str, path: str, body: Mapping[str, Any] | None) -> tuple[int, Any]:
        """The status and the JSON of an answer."""
        try:
            return self.client.ask(method, path, body)
        except ClusterError as why:
            raise CannotTell(str(why)) from None

    def tells(self, text: str) -> bool:
        """Whether a text has the credentials."""
        told = self.client.config
        return any(secret and secret in text for secret in (told.token, told.key.strip()))


@contextmanager
def connected(kubeconfig: Path) -> Iterator[Asked]:
    """The server that a kubeconfig names, for the gate."""
    with Client(config.read(kubeconfig)) as client:
        yield Asked(client)


def limits(run: Run) -> Limits:
    """What the policy of a run says of where it deploys."""
    return Limits.model_validate(run.plan.terms["deploy"]["place"][NAME].limits)


@contextmanager
def spoken(told: Limits) -> Iterator[Client]:
    """The client of the cluster that limits name. `PlanError` for another cluster, or for another deployer, than they
    say: by now a kubeconfig may be another than the gate was shown."""
    with Client(config.read(deployer.kubeconfig(told.credentials))) as client:
        deployer.kept(Asked(client), told.model_dump())
        yield client


def unfit(found: Standing, model: str) -> str:
    """Why a model (its digest) may not serve, by the registry; empty where it may: it was approved by a word that
    counts, and neither it nor what it comes from was revoked, nor has it expired."""
    rows = [row for row in found.rows if row.claim.release == model]
    if not rows:
        return "was never entered"
    for row in rows:
        moves = (each for each in row.moves if isinstance(each.claim, Move) and each.claim.alias == "approved")
        if not row.wrong and any(each.signer not in found.barred for each in moves):
            return ""
    return rows[-1].wrong or "was approved by nobody whose word counts"


def standing(
    home: Home, name: str, keys: Keys, models: Mapping[str, str], known: Collection[str] = ()
) -> Callable[[str], bool]:
    """Whether a release may serve (`models`: release -> digest of its model). Asked anew each time. `known`: entries
    of the registry that were there."""

    def stands(release: str) -> bool:
        try:
            found = chains.standing(home, name, keys, known=known)
        except LogBroken:
            return False  # of a registry that was altered nothing is taken for good
        return release in models and not unfit(found, models[release])

    return stands
