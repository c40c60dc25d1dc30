"""`sluice signer`: the process that signs, as a user of its own, for pipelines that cannot read a key."""

import argparse
import os

from security.errors import KeyBroken
from security.keys import UnsafeLocalKeys
from security.signer.serve import listen


def command(given: argparse.Namespace) -> int:
    """Listen until the process is ended."""
    for user in given.users:
        if user in (0, os.geteuid()):
            whose = "the system's, who may read every key" if user == 0 else "this one, whose keys these are"
            raise KeyBroken(f"--for {user}: found {whose}; allowed: another user")
    keys = UnsafeLocalKeys(given.keys)
    print(f"  producer  {keys.public('producer').id}\n  verifier  {keys.public('verifier').id}")
    print(f"  signs for {', '.join(f'user {user}' for user in given.users)} at {given.socket.name}", flush=True)
    listen(given.socket, keys, given.users)
    return 0
