"""What BuildKit and buildx take and give: argv, progress, metadata. Public, for backends."""
