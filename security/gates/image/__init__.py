"""The image that serves, or what a local process runs on where no image was built.

The scanner is embedded: layers are laid with their whiteouts, packages and distributions are read from their own
databases, and each is looked up in advisories of its ecosystem, in the order of its versions. An empty answer is not a
clean one: a database that is gone, a system that nobody knows, an ecosystem without advisories, lists of updates that
are old are each told. Nothing in an image is obeyed: what tells scanners to look away is a finding.
"""

from security.gates.image.facts import About, Facts, File, Item, Report, material
from security.gates.image.gate import ImageVulnerabilityScanning
from security.gates.image.limits import Limits

__all__ = ["About", "Facts", "File", "ImageVulnerabilityScanning", "Item", "Limits", "Report", "material"]
