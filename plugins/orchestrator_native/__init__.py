"""The `native` backend: every node builds its own platforms."""
