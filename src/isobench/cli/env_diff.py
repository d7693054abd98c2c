"""`isobench env diff`: which packages differ between two environments, or between an environment and a result."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import click

from isobench.cli.env_names import print_json, ready_one
from isobench.cli.parameters import environment_options
from isobench.errors import IsobenchError, ResultError, UsageError


@click.command()
@click.argument("first")
@click.argument("second")
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")
@environment_options
def diff(first: str, second: str, as_json: bool) -> int:
    """Show which packages differ. FIRST and SECOND: environments, or results by their id, folder or file.

    The exit code is 1 if a package differs.
    """
    was, now = _packages(first), _packages(second)
    rows = [
        {"package": name, "first": was.get(name), "second": now.get(name)}
        for name in sorted(was.keys() | now.keys())
        if was.get(name) != now.get(name)
    ]
    if as_json:
        print_json(rows)
    elif not rows:
        click.echo("the same packages")
    width = max((len(str(row["package"])) for row in rows), default=0)
    for row in rows if not as_json else ():
        click.echo(f"{row['package']:{width}}  {row['first'] or '-'}  ->  {row['second'] or '-'}")
    return 1 if rows else 0


def _packages(name: str) -> Mapping[str, str]:
    """Version by package, with Python itself; conda packages are marked as such, with their build."""
    try:
        environment = ready_one(name)
    except IsobenchError as error:
        return _packages_of_result(name, error)
    manifest = environment.manifest()
    return {
        "python": manifest.python.version,
        **_of_image(environment.image, [(package.name, package.version) for package in manifest.image_packages]),
        **manifest.versions(),
        **{f"{package.name} (conda)": f"{package.version} {package.build}" for package in manifest.conda_packages},
    }


def _of_image(image: str, packages: Iterable[tuple[str, ...]]) -> dict[str, str]:
    return {"image": image, **{f"{name} (image)": version for name, version in packages}} if image else {}


def _packages_of_result(name: str, no_environment: IsobenchError) -> Mapping[str, str]:
    from isobench import results

    try:
        record = results.load(name).environment
    except ResultError as no_result:
        if not isinstance(no_environment, UsageError):
            raise no_environment from None
        raise UsageError(
            f"{name} is neither an environment nor a result: {no_environment.message}; {no_result.message}",
            hint="List them: isobench env list, isobench list",
        ) from None
    if record is None:
        raise UsageError(
            f"the result {name} has no environment: it failed before", hint="List the results: isobench list"
        )
    conda = [package.split("=", 1) for package in record.conda_packages]
    return {
        "python": record.python,
        **_of_image(record.image, [tuple(one.split("==", 1)) for one in record.image_packages]),
        **dict(package.split("==", 1) for package in record.packages),
        **{f"{package} (conda)": version.replace("=", " ") for package, version in conda},
    }
