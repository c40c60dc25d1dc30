"""Personal data handled; vocabularies, the split in time, and starting embeddings."""

from prefect import flow

from security.verdict import Ref
from tasks.features import prepare
from tasks.protect import protect
from tasks.stage import stage


@flow(name="features", retries=0)
@stage("features")
def features(rows: Ref) -> Ref:
    """Personal data handled; vocabularies, the split in time, and starting embeddings."""
    return prepare(protect(rows))
