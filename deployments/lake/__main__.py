"""`python -m deployments.lake STATE`: the embedded lake as a process of its own, until SIGTERM or SIGINT."""

from __future__ import annotations

import argparse
import signal
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

DAYS = 120


def _leave(number: int, frame: FrameType | None) -> None:
    # The way out removes what was announced; a second signal must not break into it.
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, signal.SIG_IGN)
    raise SystemExit(0)


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m deployments.lake", description="An S3 lake on 127.0.0.1.")
    parser.add_argument("state", type=Path, help="folder of credentials.json, ca.pem and, while it serves, lake.json")
    parser.add_argument("--port", type=int, default=0, help="0, the default, is any free one; lake.json says which")
    parser.add_argument("--sample", action="store_true", help="fill the bucket with the synthetic sample")
    parser.add_argument("--days", type=int, help=f"how many of the sample's last days (default {DAYS})")
    parser.add_argument("--public", default="", help="also make a copy in a bucket of this name that anybody may read")
    args = parser.parse_args(argv)
    if not 0 <= args.port <= 65535:
        parser.error("--port is 0 to 65535")
    if args.days is not None and (not args.sample or args.days < 1):
        parser.error("--days needs --sample, and is 1 or more")
    if args.public and not args.sample:
        parser.error("--public needs --sample")
    return args


def main(argv: Sequence[str] | None = None) -> int:
    """Serve until told to stop: 0 then, 2 with one sentence where it cannot start."""
    args = _arguments(argv)
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, _leave)
    from deployments.lake.server import BUCKET, Lake, LakeError

    try:
        with Lake(args.state, args.port) as lake:
            lake.make_bucket(BUCKET)
            if args.sample:
                lake.seed(BUCKET, args.days or DAYS)
            if args.public:
                lake.copy_public(BUCKET, args.public, "user_interactions/")
            found = lake.announce()
            print(f"lake: ready at {lake.endpoint}, see {found}", flush=True)
            threading.Event().wait()
    except LakeError as error:
        print(f"lake: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
