"""`sluice manifest`: the signed list of a checkout's files, for where they go without it: an image, or a tarball."""

from pathlib import Path

from flows import check
from security import whole
from security.gates.code import sealed
from security.keys import UnsafeLocalKeys
from security.verdict import Outcome
from tasks import tree
from tasks.home import Home

NAME = "code_integrity_check"


def make(checkout: str, limits: Path | None, out: Path) -> int:
    """Sign what the last commit holds, if the gate passes the checkout; else say why not, and write nothing."""
    home, code = Home.here(), check.check(NAME, checkout, limits)
    if code != check.CODES[Outcome.PASS]:
        return code
    commit, files = tree.signed(Path(checkout))
    keys = UnsafeLocalKeys(home.root / "keys")
    whole.write(out, (sealed(files, commit, keys.signer("owner")),))
    (home.folder("trust") / "owner.pub").write_bytes(keys.public("owner").pem)
    print(f"  {len(files):,} files of {commit[:12]}, signed by the owner's key (UnsafeLocalKeys): {out.name}")
    return code
