"""An object of a cluster: what all kinds of them have."""

from typing import ClassVar

from security.manifests.part import Metadata, Part


class Object(Part):
    """One object: kind and version, and what it is called."""

    namespaced: ClassVar[bool] = True
    api_version: str
    kind: str
    metadata: Metadata

    @property
    def namespace(self) -> str:
        """Where it lies; empty for what lies nowhere."""
        return (self.metadata.namespace or "default") if self.namespaced else ""

    @property
    def place(self) -> str:
        """Kind, namespace and name."""
        return "/".join(filter(None, (self.kind, self.namespace, self.metadata.name)))
