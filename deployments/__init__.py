"""What Sluice runs on: the embedded lake, pools, images, manifests and the service."""
