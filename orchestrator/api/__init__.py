"""All that a backend plugin may import, with `orchestrator.buildkit`. Version 1.0."""
