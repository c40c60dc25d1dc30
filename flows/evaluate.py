"""The model measured beside its baselines and a control."""

from prefect import flow

from security.verdict import Ref
from tasks.evaluate import score
from tasks.stage import stage


@flow(name="evaluate", retries=0)
@stage("evaluate")
def evaluate(model: Ref, features: Ref) -> Ref:
    """The model measured beside its baselines and a control."""
    return score(model, features)
