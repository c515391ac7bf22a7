"""Reads the facts that a plan is made from: git, clock, environment, nodes, registry."""
