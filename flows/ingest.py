"""Pinned rows from S3, cleaned."""

from prefect import flow

from security.verdict import Ref
from tasks.ingest import clean, fetch
from tasks.stage import stage


@flow(name="ingest", retries=0)
@stage("ingest")
def ingest(bucket: Ref) -> Ref:
    """Pinned rows from S3, cleaned."""
    return clean(fetch(bucket))
