"""A lease for a cluster, on a schedule: what may serve there is looked at again, and let serve for the next while.

Where it is not renewed, whatever serves there stops when the lease runs out: a worker that stands still is an outage by
design. Whoever asks may name documents and policies, and bring none.
"""

from typing import Annotated, Any

from prefect import flow
from prefect.states import Completed, Failed
from pydantic import Field

from configs.load import ConfigError
from flows import deployed
from flows.pipeline import NAME
from security.errors import SluiceError
from tasks import report
from tasks.home import Home
from tasks.run import REFUSED


@flow(name="lease", retries=0, flow_run_name="{document} {policy}", validate_parameters=True)
def lease(
    document: Annotated[str, Field(pattern=NAME)] = "recommendation_engine_v2",
    policy: Annotated[str, Field(pattern=NAME)] = "kubernetes_prod",
) -> Any:
    """Renew the lease of what may serve at the policy's target.

    Args:
        document: what the pipeline is, by name.
        policy: how it is judged, by name: its target is where the lease is good.
    """
    try:
        of = deployed.Deployed(Home.here(), document, policy, by_path=False)
        given = deployed.renewed(of)
    except (SluiceError, ConfigError, OSError) as why:
        return report.unplanned(Failed(name=REFUSED, message=f"lease: {why}"))
    left = [f"{each.run}, release {each.release}: {each.why}" for each in given.lines if each.why]
    message = "; ".join([deployed.said(given), *left])
    if not deployed.lets(of, given):  # what callers are led to answers nothing from now on
        return report.unplanned(Failed(name=REFUSED, message=f"lease: {message}"))
    return Completed(message=message)
