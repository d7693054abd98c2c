"""`isobench doctor`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from isobench.errors import UsageError

if TYPE_CHECKING:
    from isobench.system.devices import Device
    from isobench.system.doctor import Finding
    from isobench.system.nvidia import Requirement


@click.command()
@click.option("--device", metavar="FAMILY[::PART[::CONFIG]]", help="Look at this device, too: nvidia.")
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON.")
def doctor(device: str | None, as_json: bool) -> int:
    """Say what on this machine will disturb a measurement, and what to do about it. Nothing is changed.

    With --device nvidia, list first what the GPU, its driver and the runtimes' environments need of one another; the
    exit code says whether something is missing.
    """
    from isobench.reports.format import percent
    from isobench.results import noise_floor
    from isobench.runtimes import registry
    from isobench.system import doctor as checks
    from isobench.system import nvidia, provenance

    where = registry.device(device) if device else None
    on_nvidia = where is not None and where.family == "nvidia"
    needed = _requirements(where) if where is not None and on_nvidia else []
    missing = int(any(one.ok is False for one in needed))
    found = [] if missing else checks.findings(provenance.host(), checks.watch())
    if as_json:
        _print_json(needed, found, with_requirements=on_nvidia)
        return missing
    if needed:
        click.echo(nvidia.listing(needed))
    if missing:
        return missing
    for finding in found:
        click.echo(f"- {finding.what}")
        if finding.advice:
            click.echo(f"    {finding.advice}")
    if not found:
        click.echo("nothing that would disturb a measurement was found")
    floor = noise_floor.floor()
    click.echo(f"noise floor: {percent(floor.runs)} between identical runs ({floor.source})")
    return 0


def _requirements(device: Device) -> list[Requirement]:
    """The GPU and its driver, and then each runtime's environment, as far as it's there."""
    from isobench.runtimes import registry
    from isobench.system import nvidia

    try:
        facts = nvidia.gpu(device)
    except UsageError as error:
        return [nvidia.absent(error)]
    found = nvidia.requirements(facts)
    for name, entry in registry.runtimes().items():
        if entry.supports(device):
            found += _environment(name, entry.cls.on(device).environment, facts)
    return found


def _environment(runtime: str, name: str, facts: Any) -> list[Requirement]:
    from isobench import environments
    from isobench.environments import choice
    from isobench.system import nvidia
    from isobench.system.nvidia import Requirement

    if not name:
        return []
    spec = environments.spec(name)
    ready = choice.provisioned(spec)
    if ready is None:
        what = f"{runtime}: environment"
        if not spec.is_locked:
            return [Requirement(what=what, found=f"{name} isn't locked yet", ok=None, advice=spec.relock)]
        return [Requirement(what=what, found=f"{name} isn't made yet", ok=None, advice=f"isobench env create {name}")]
    fits = nvidia.fits(facts, ready.manifest().versions(), runtime=runtime)
    return fits or [Requirement(what=f"{runtime}: environment", found=f"{name}: {ready.folder}")]


def _print_json(needed: list[Requirement], found: list[Finding], *, with_requirements: bool) -> None:
    import json
    from dataclasses import asdict

    findings = [asdict(finding) for finding in found]
    if not with_requirements:
        click.echo(json.dumps(findings, indent=1))
    else:
        requirements = [asdict(requirement) for requirement in needed]
        click.echo(json.dumps({"requirements": requirements, "findings": findings}, indent=1))
