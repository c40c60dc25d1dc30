"""What runs on a cluster: manifests as data, which are rendered from a few values, and the probe of its network."""
