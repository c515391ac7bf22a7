"""Measures the budgets of docs/explanation/architecture.md: ratios of whole processes, in one run on one machine."""
