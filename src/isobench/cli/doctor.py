"""`isobench doctor`."""

from __future__ import annotations

import click


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON.")
def doctor(as_json: bool) -> None:
    """Say what on this machine will disturb a measurement, and what to do about it. Nothing is changed."""
    from isobench import calibration, provenance, report
    from isobench import doctor as checks

    found = checks.findings(provenance.host(), checks.watch())
    if as_json:
        import json
        from dataclasses import asdict

        click.echo(json.dumps([asdict(finding) for finding in found], indent=1))
        return
    for finding in found:
        click.echo(f"- {finding.what}")
        if finding.advice:
            click.echo(f"    {finding.advice}")
    if not found:
        click.echo("nothing that would disturb a measurement was found")
    floor = calibration.floor()
    click.echo(f"noise floor: {report.percent(floor.runs)} between identical runs ({floor.source})")
