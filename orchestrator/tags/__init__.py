"""Templates and the values they may use. Pure."""
