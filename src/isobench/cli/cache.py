"""`isobench cache`: the stored builds, so that no model is exported twice."""

from __future__ import annotations

import time

import click

from isobench.errors import UsageError


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
        click.echo(f"{one.id}  {_size(one.size_bytes):>10}  {_day(one.made_s)}  {one.name}::{one.hash}{what}")
    total = _size(listing.total_bytes(found))
    click.echo(f"{len(found)} build{'' if len(found) == 1 else 's'}, {total}, in {paths.builds()}", err=True)


@cache.command()
@click.argument("name", metavar="ID")
def show(name: str) -> None:
    """Print a build's description as JSON. ID is a build's id, or the beginning of one."""
    from isobench.builds import build, listing

    click.echo((listing.find_build(name).folder / build.BUILD_FILE).read_text(encoding="utf-8"), nl=False)


@cache.command()
@click.argument("names", nargs=-1, metavar="ID...")
@click.option("--all", "everything", is_flag=True, help="Remove every build.")
def remove(names: tuple[str, ...], everything: bool) -> None:
    """Remove builds. Results stay; a measurement that is using one of them at this moment fails."""
    from isobench.builds import listing

    if bool(names) == everything:
        raise UsageError("name the builds to remove, or give --all", hint="List all builds: isobench cache list")
    for one in listing.list_builds() if everything else [listing.find_build(name) for name in dict.fromkeys(names)]:
        listing.remove_build(one)
        click.echo(f"removed {one.folder}")
    if everything and (builder := listing.remove_unused()):
        click.echo(f"unused ONNX files stay, because {builder} is building", err=True)


def _size(size_bytes: int) -> str:
    return f"{size_bytes / 1e6:.1f} MB" if size_bytes >= 1e5 else f"{size_bytes / 1e3:.1f} kB"


def _day(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))
