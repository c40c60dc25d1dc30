"""A candidate that serves the model, ready to be promoted."""

from prefect import flow

from security.verdict import Ref
from tasks.deploy import serve
from tasks.stage import stage


@flow(name="deploy", retries=0)
@stage("deploy")
def deploy(model: Ref, scores: Ref) -> Ref:
    """A candidate that serves the model, ready to be promoted."""
    return serve(model, scores)
