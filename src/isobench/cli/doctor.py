"""`isobench doctor`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from isobench.errors import UsageError

if TYPE_CHECKING:
    from isobench.system.devices import Device
    from isobench.system.doctor import Finding
    from isobench.system.nvidia import GpuFacts
    from isobench.system.nvidia_requirements import Requirement


@click.command()
@click.option("--device", metavar="FAMILY[::PART[::CONFIG]]", help="Check this device, too: nvidia.")
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON.")
def doctor(device: str | None, as_json: bool) -> int:
    """List what on this machine will disturb a measurement, and what to do about it. Nothing is changed.

    With --device nvidia, first list what the GPU, its driver and the runtimes' environments require of one another; the
    exit code is 1 if something is missing.
    """
    from isobench.reports.format import percent
    from isobench.results import noise_floor
    from isobench.runtimes import registry
    from isobench.system import doctor as checks
    from isobench.system import nvidia_requirements, provenance

    where = registry.device(device) if device else None
    needed = _requirements(where) if where is not None and where.is_nvidia else None
    missing = int(any(one.ok is False for one in needed or ()))
    found = [] if missing else checks.findings(provenance.host(), checks.watch())
    if as_json:
        _print_json(needed, found)
        return missing
    if needed:
        click.echo(nvidia_requirements.listing(needed))
    if missing:
        return missing
    for finding in found:
        click.echo(f"- {finding.what}")
        if finding.advice:
            click.echo(f"    {finding.advice}")
    if not found:
        click.echo("found nothing that would disturb a measurement")
    floor = noise_floor.floor()
    click.echo(f"noise floor: {percent(floor.runs)} between identical runs ({floor.source})")
    return 0


def _requirements(device: Device) -> list[Requirement]:
    """The GPU and its driver, then each runtime's environment, as far as it is installed."""
    from isobench.runtimes import registry
    from isobench.system import nvidia, nvidia_requirements

    try:
        gpu = nvidia.gpu(device)
    except UsageError as error:
        return [nvidia_requirements.no_gpu(error)]
    found = nvidia_requirements.of_gpu(gpu)
    for name, entry in registry.runtimes().items():
        if entry.supports(device):
            found += _environment(name, entry.cls.on(device).environment, gpu)
    return found


def _environment(runtime: str, name: str, gpu: GpuFacts) -> list[Requirement]:
    from isobench import environments
    from isobench.environments import choice
    from isobench.system import nvidia_requirements
    from isobench.system.nvidia_requirements import Requirement

    if not name:
        return []
    spec = environments.spec(name)
    ready = choice.provisioned(spec)
    what = f"{runtime}: environment"
    if ready is None:
        if not spec.is_locked:
            return [Requirement(what=what, found=f"{name} isn't locked yet", ok=None, advice=spec.relock)]
        create = f"isobench env create {name}"
        return [Requirement(what=what, found=f"{name} isn't installed yet", ok=None, advice=create)]
    fits = nvidia_requirements.of_packages(gpu, ready.manifest().versions(), runtime=runtime)
    return fits or [Requirement(what=what, found=f"{name}: {ready.folder}")]


def _print_json(needed: list[Requirement] | None, found: list[Finding]) -> None:
    import json
    from dataclasses import asdict

    findings = [asdict(finding) for finding in found]
    if needed is None:
        click.echo(json.dumps(findings, indent=1))
    else:
        requirements = [asdict(requirement) for requirement in needed]
        click.echo(json.dumps({"requirements": requirements, "findings": findings}, indent=1))
