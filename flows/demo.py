"""`make run`: the document that all this was specified by, on a generated sample; unasked, two runs that are refused.

The first refusal is of the same pipeline on a copy of the lake whose bucket was made public; the second is of the same
model behind a service that accepts expired tokens. Either going through is an error of this command.
"""

import json
import os
import time

from configs import load
from flows import local, plan, shell
from flows.screen import Screen
from tasks.home import Home
from tasks.run import REFUSED
from tasks.source import Place
from tasks.store import current

DOCUMENT = "recommendation_engine_v2"


def public(home: Home) -> tuple[str, str]:
    """The document and the local policy, for the public copy: paths of files in the home."""
    document = load.text(load.find(DOCUMENT, "pipelines"))
    place = Place.of(document["stages"][0]["source"])
    document["stages"][0]["source"] = document["stages"][0]["source"].replace(place.bucket, local.PUBLIC)
    policy = load.text(load.find("local", "policies"))
    policy["documents"][DOCUMENT] = load.sha256(document)
    folder = home.folder("demo")
    paths = folder / "public.json", folder / "public.yaml"
    for path, told in zip(paths, (document, policy), strict=True):
        path.write_text(json.dumps(told, indent=1))
    return load.offer(paths[0]), load.offer(paths[1])


def refused(screen: Screen, home: Home, title: str, **parameters: object) -> bool:
    """One run that must be refused and must publish nothing; whether it was."""
    screen.say(f"\n{title}")
    before, stored = current(home, "serving"), {path.name for path in (home.root / "store").glob("[0-9a-f]*")}
    state, run = shell.once(screen, **parameters)
    after = {path.name for path in (home.root / "store").glob("[0-9a-f]*")}
    good = state.name == REFUSED and after == stored and current(home, "serving") == before
    shown = "refused, and nothing was published" if good else "NOT REFUSED: this is a defect"
    screen.say(f"{'✓' if good else '✗'} {shown}: {state.message}")
    return good and run is not None


def demo() -> int:
    """The three runs; 0 if the first passed and the other two were refused."""
    home, screen, begun = Home.here(), Screen(), time.monotonic()
    screen.say(f"sluice: sample lake, policy local, home {os.path.relpath(home.root)}")
    if not (home.root / "keys" / "owner.pem").exists():  # the first run: what is shipped is what its owner signs
        for name in ("local", "kubernetes_test", "kubernetes_prod"):
            plan.sign(name, home)
    url = shell.ready(home, screen)
    state, run = shell.once(screen, document=DOCUMENT, requested_by="make run")
    if run:
        shell.figures(screen, run)
    shell.ending(screen, home, state, run, url)
    if not state.is_completed() or run is None:
        return 1
    document, policy = public(home)
    screen.say()
    good = refused(
        screen, home, "Again, on a copy of the lake whose bucket was made public:", document=document, policy=policy
    )
    good &= refused(
        screen,
        home,
        "Again, with a service that accepts expired tokens:",
        document=DOCUMENT,
        after=run.plan.run,
        unsafe_service=True,
    )
    screen.say(f"\n  {time.monotonic() - begun:.0f} s in all; `make stop` ends what was started ({url})")
    return 0 if good else 1
