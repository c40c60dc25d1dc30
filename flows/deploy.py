"""A candidate that serves the model, ready to be promoted."""

from prefect import flow

from security.verdict import Ref
from tasks.deploy import serve
from tasks.pause import person
from tasks.place import place
from tasks.render import render
from tasks.run import current
from tasks.stage import stage


@flow(name="deploy", retries=0)
@stage("deploy")
def deploy(model: Ref, scores: Ref) -> Ref:
    """A candidate that serves the model, ready to be promoted."""
    manifests = render(model)
    person(current(), model)
    candidate = serve(model, scores, manifests)
    return place(manifests, candidate)
