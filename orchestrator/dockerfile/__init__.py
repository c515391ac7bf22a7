"""What a Dockerfile says: stages, and the images it takes data from. Pure."""
