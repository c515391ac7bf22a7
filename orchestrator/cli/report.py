"""`orchestrate report`: the last run as a page."""

from __future__ import annotations

from pathlib import Path

import click

from orchestrator.cli.options import file_option, report_option


@click.command(name="report")
@file_option
@report_option("--output", "Where to write it; .orchestrate/report.html unless said.")
def command(*, file: Path | None, report_file: Path | None) -> None:
    """Show the last run here as one HTML file: graph, timeline, logs, digests.

    Prints where it is. It loads nothing from anywhere, so it can be mailed, or kept by CI. Works while the run goes on,
    and after one that was killed.
    """
    from orchestrator.cli.load import find_root
    from orchestrator.cli.options import ProjectOptions
    from orchestrator.cli.reporting import check_report, write_report
    from orchestrator.ui.text import print_result

    check_report(report_file)
    print_result(f"{write_report(find_root(ProjectOptions(file=file)), report_file)}\n")
