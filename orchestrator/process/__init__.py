"""The only place that starts children."""
