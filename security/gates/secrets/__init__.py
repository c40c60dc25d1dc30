"""Secrets: nothing that opens a door lies in the checkout, nor in anything that its repository keeps.

Two engines read every line: detect-secrets, and our own by a rules file, which knows more forms and the sums that some
tokens carry. What one of them finds is found. Nothing of what is looked at has a say: settings and comments that tell
scanners to look away are counted, shown, and held against whoever hides a secret with them. Only the policy allows one,
by its fingerprint and with a reason.

Three cheap fakes, and what catches them. To read what git tracks now, and none of what it ignores or once held: the
count of files and of objects is taken by other code, and tests hide secrets in each place. To count and not to look: in
every batch of lines stands one that both engines must find, beside the canaries. To look away where the checkout asks
for it, or wherever a value seems an example: markers decide nothing, and only a whole value is a placeholder.

No value leaves: findings name the kind, the place and a fingerprint.
"""

from security.gates.secrets.facts import About, Facts, Found, Item, Limits, material
from security.gates.secrets.gate import SecretsScanning
from security.gates.secrets.print import fingerprint

__all__ = ["About", "Facts", "Found", "Item", "Limits", "SecretsScanning", "fingerprint", "material"]
