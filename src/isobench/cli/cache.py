"""`isobench cache`: the stored builds, so that no model is exported twice."""

from __future__ import annotations

import time

import click

from isobench.errors import UsageError
from isobench.escapes import one_line


@click.group()
def cache() -> None:
    """List and remove cached builds.

    A build is a model's ONNX file, inputs and expected outputs. It is made once and used again; after its removal the
    next run rebuilds it. Results don't need it: see `isobench list` and `isobench remove`.
    """


@cache.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print the builds as JSON.")
def list_(as_json: bool) -> None:
    """List the builds, the oldest first."""
    from isobench import paths
    from isobench.builds import listing

    found = listing.list_builds()
    if as_json:
        import json

        rows = [
            {
                "id": one.id,
                "name": one.name,
                "class_name": one.class_name,
                "hash": one.hash,
                "onnx": one.has_onnx,
                "size_bytes": one.size_bytes,
                "made_at": _day(one.made_s),
                "folder": str(one.folder),
            }
            for one in found
        ]
        click.echo(json.dumps(rows, indent=1))
        return
    for one in found:
        what = "" if one.has_onnx else "  (without an ONNX file)"
        name = one_line(f"{one.name}::{one.hash}")
        click.echo(f"{one.id}  {_size(one.size_bytes):>10}  {_day(one.made_s)}  {name}{what}")
    total = _size(listing.total_bytes(found))
    click.echo(f"{len(found)} build{'' if len(found) == 1 else 's'}, {total}, in {paths.builds()}", err=True)


@cache.command()
@click.argument("name", metavar="ID")
def show(name: str) -> None:
    """Print a build's description as JSON. ID is a build's id, or the beginning of one."""
    import json

    from isobench.builds import listing

    click.echo(json.dumps(listing.description(listing.find_build(name)), indent=1))


@cache.command()
@click.argument("names", nargs=-1, metavar="ID...")
@click.option("--all", "everything", is_flag=True, help="Remove every build.")
def remove(names: tuple[str, ...], everything: bool) -> None:
    """Remove builds. Results stay; a measurement that is about to use one of them builds it again."""
    from isobench.builds import listing

    if bool(names) == everything:
        raise UsageError("name the builds to remove, or give --all", hint="List all builds: isobench cache list")
    for one in listing.list_builds() if everything else [listing.find_build(name) for name in dict.fromkeys(names)]:
        listing.remove_build(one)
        click.echo(f"removed {one.folder}")
    if everything and (builder := listing.remove_unused()):
        click.echo(f"unused ONNX files stay, because {builder} is building", err=True)


@cache.command()
@click.option(
    "--older-than",
    "days",
    type=click.FloatRange(0, 36500),
    default=30.0,
    show_default=True,
    metavar="DAYS",
    help="Remove builds that weren't used for so many days.",
)
@click.option("--dry-run", is_flag=True, help="Print what would be removed, and remove nothing.")
def gc(days: float, dry_run: bool) -> None:
    """Remove what nobody needs: leftovers of killed processes, and builds that weren't used for long.

    Leftovers are run directories and their logs, samples that couldn't be saved, unfinished environments and files.
    Those of other hosts are removed when they are a week old. Results stay.
    """
    import math

    from isobench.builds import garbage
    from isobench.errors import IsobenchError
    from isobench.failures import Ending, exit_code

    if math.isnan(days):
        raise UsageError("--older-than must be a number of days, got nan")
    number = total = failed = 0
    for one in garbage.find(unused_s=days * 86400):
        try:
            if not dry_run:
                one.remove()
        except (OSError, IsobenchError) as error:
            click.echo(f"{one.path} can't be removed: {getattr(error, 'strerror', None) or error}", err=True)
            failed = exit_code(Ending.RESULT)
            continue
        click.echo(f"{'would remove' if dry_run else 'removed'} {one.path}  ({_size(one.size_bytes)}, {one.why})")
        number, total = number + 1, total + one.size_bytes
    click.echo(f"{number} {'to remove' if dry_run else 'removed'}, {_size(total)}", err=True)
    if failed:
        raise SystemExit(failed)


def _size(size_bytes: int) -> str:
    return f"{size_bytes / 1e6:.1f} MB" if size_bytes >= 1e5 else f"{size_bytes / 1e3:.1f} kB"


def _day(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))
