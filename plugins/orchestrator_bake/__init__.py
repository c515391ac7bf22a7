"""The `bake` backend: the graph as runs of `docker buildx bake`."""
