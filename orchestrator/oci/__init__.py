"""OCI types: digests, platforms, references, manifests; parsed once, then trusted. Pure."""
