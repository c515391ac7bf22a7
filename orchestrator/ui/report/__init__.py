"""The report: one HTML file that shows a run, made from its events alone; it loads nothing from anywhere."""
