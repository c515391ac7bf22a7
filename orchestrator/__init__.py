"""Plan, build, verify and publish many multi-platform container images: all of them or none."""
