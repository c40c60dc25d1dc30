"""A trained and signed model."""

from prefect import flow

from security.verdict import Ref
from tasks.stage import stage
from tasks.train import fit


@flow(name="train", retries=0)
@stage("train")
def train(features: Ref) -> Ref:
    """A trained and signed model."""
    return fit(features)
