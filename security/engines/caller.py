"""A principal, and how the statements of a bucket's policy name it."""

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from security.engines.iam import Statement
from security.engines.patterns import Patterns

Named = Literal["direct", "account", "perhaps", ""]


@dataclass(frozen=True)
class Caller:
    """A principal by its ARN (a user, a role, or a role's session), and the account that owns the bucket."""

    arn: str
    owner: str

    @property
    def kind(self) -> str:
        """`user`, `role` or `assumed-role`."""
        return self.arn.split(":", 5)[5].partition("/")[0]

    @property
    def pattern(self) -> str:
        """What else it could be named as: a role as one of its sessions, a session as its role, of whatever path."""
        name = self.arn.split("/")[-1 if self.kind == "role" else 1]
        session = f"arn:{self.partition}:sts::{self.account}:assumed-role/{name}/*"
        role = f"arn:{self.partition}:iam::{self.account}:role/*{name}"
        return {"role": session, "assumed-role": role}.get(self.kind, self.arn)

    @property
    def partition(self) -> str:
        """`aws`, `aws-cn`, `aws-us-gov`."""
        return self.arn.split(":")[1]

    @property
    def account(self) -> str:
        """The account that it belongs to."""
        return self.arn.split(":")[4]

    @property
    def context(self) -> dict[str, str]:
        """The condition keys that the caller does not choose, by lower-case name."""
        known = {
            "aws:principalaccount": self.account,
            "aws:principalisawsservice": "false",
            "aws:resourceaccount": self.owner,
            "s3:resourceaccount": self.owner,
        }
        known |= {"aws:principalarn": self.arn} if self.kind != "assumed-role" else {}
        return known | ({"aws:username": self.arn.rpartition("/")[2]} if self.kind == "user" else {})

    def named(self, statement: Statement) -> Named:
        """How the list of a statement names the caller: itself or everybody, its account, perhaps, or not at all."""
        found: Named = ""
        for kind, text in statement.who:
            if kind == "AWS" and text in ("*", self.arn):
                return "direct"
            if kind == "AWS" and text in (self.account, f"arn:{self.partition}:iam::{self.account}:root"):
                found = "account"
            elif text == "*" or kind == "CanonicalUser" or (kind == "AWS" and self._met(text)):
                found = found or "perhaps"
        return found

    @cached_property
    def _names(self) -> Patterns:
        return Patterns([self.arn, self.pattern])

    def _met(self, text: str) -> bool:
        found = self._names.meeting(text)
        return any(found & end for end in self._names.ends.values())
