"""`builds.toml`: schema, decoding, places. Pure."""
