"""The process that has imported pip-audit, and forks for each question: what runs in it, apart from who asks.

It imports the engine and nothing else of ours or of others, since it is waited for. Questions come as lines of JSON on
its input, with the engine's arguments and a file for what it says; the answer to each is the engine's exit code.
"""

import gc
import json
import os
import sys
from importlib.metadata import distribution
from typing import Any

NAME = "pip-audit"


def serve() -> None:
    """Answer until the input ends. The engine is started from its own entry point, as its command is."""
    (entry,) = distribution(NAME).entry_points.select(group="console_scripts", name=NAME)
    command = entry.load()
    gc.freeze()
    for line in sys.stdin.buffer:
        question = json.loads(line)
        child = os.fork()
        if not child:
            _run(command, question["arguments"], question["said"])
        _, status = os.waitpid(child, 0)
        sys.stdout.write(f"{os.waitstatus_to_exitcode(status)}\n")
        sys.stdout.flush()


def _run(command: Any, arguments: list[str], said: str) -> None:
    code = 70
    try:
        out = os.open(said, os.O_WRONLY | os.O_CREAT, 0o600)
        os.dup2(out, 1)
        os.dup2(out, 2)
        sys.argv = [NAME, *arguments]
        ended = command()
        code = ended if isinstance(ended, int) else 0
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)
