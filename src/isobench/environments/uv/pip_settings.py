"""pip's settings for uv, which doesn't read them: a machine that is configured for pip needs no second configuration.

A setting is passed on only if uv has none of its own, in the environment or in its configuration files.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

# uv's variable, then its equivalents: other variables, and keys of uv.toml.
_UV_DEFAULT_INDEX = ("UV_DEFAULT_INDEX", "UV_INDEX_URL", "index-url", "index")
_UV_INDEX = ("UV_INDEX", "UV_EXTRA_INDEX_URL", "extra-index-url", "index")
_UV_FIND_LINKS = ("UV_FIND_LINKS", "find-links")
_UV_INSECURE_HOST = ("UV_INSECURE_HOST", "allow-insecure-host")
_UV_TIMEOUT = ("UV_HTTP_TIMEOUT", "UV_REQUEST_TIMEOUT", "HTTP_TIMEOUT", "http-timeout")
_UV_CERT = ("SSL_CERT_FILE", "SSL_CERT_DIR")


def for_uv(environ: Mapping[str, str]) -> tuple[dict[str, str], list[str]]:
    """The variables and arguments for uv that equal pip's settings in `environ` and in its files."""
    pip = settings(environ)
    taken = {name for name, value in environ.items() if value} | _uv_toml_keys(environ)
    wanted: dict[str, str] = {}

    def pass_on(names: tuple[str, ...], value: str) -> None:
        if value and taken.isdisjoint(names):
            wanted[names[0]] = value

    pass_on(_UV_DEFAULT_INDEX, pip.get("index-url", ""))
    pass_on(_UV_INDEX, " ".join(pip.get("extra-index-url", "").split()))
    pass_on(_UV_FIND_LINKS, ",".join(_absolute(place) for place in pip.get("find-links", "").split()))
    pass_on(_UV_INSECURE_HOST, " ".join(pip.get("trusted-host", "").split()))
    pass_on(_UV_TIMEOUT, pip.get("default-timeout", pip.get("timeout", "")))
    cert = pip.get("cert", "")
    pass_on(_UV_CERT if not Path(cert).is_dir() else _UV_CERT[::-1], cert)
    if "UV_INDEX" in wanted and taken.isdisjoint(("UV_INDEX_STRATEGY", "index-strategy")):
        # pip takes the best version of all its indexes. uv would take a package from the first that has any version.
        wanted["UV_INDEX_STRATEGY"] = "unsafe-best-match"
    no_index = pip.get("no-index", "").lower() in {"1", "true", "yes", "on", "y", "t"}
    return wanted, ["--no-index"] if no_index and "no-index" not in taken else []


def settings(environ: Mapping[str, str]) -> dict[str, str]:
    """The effective settings of pip by option name, from its files and, over them, its variables."""
    import configparser

    found: dict[str, str] = {}
    for file in _files(environ):
        parser = configparser.RawConfigParser()
        try:
            parser.read(file, encoding="utf-8")
        except (configparser.Error, OSError, UnicodeDecodeError):
            continue  # pip reports what is wrong with it
        for section in ("global", "install"):
            if parser.has_section(section):
                found.update({key.replace("_", "-"): value for key, value in parser.items(section)})
    for name, value in environ.items():
        if name.startswith("PIP_") and value:
            found[name.removeprefix("PIP_").lower().replace("_", "-")] = value
    return found


def _files(environ: Mapping[str, str]) -> list[Path]:
    """The configuration files of pip; the last overrides the first."""
    named = environ.get("PIP_CONFIG_FILE", "")
    if named == os.devnull:
        return []
    home = Path(environ.get("HOME") or os.path.expanduser("~"))  # noqa: PTH111 - pathlib's may raise
    shared = (environ.get("XDG_CONFIG_DIRS") or "/etc/xdg").split(":")
    own = Path(environ.get("XDG_CONFIG_HOME") or home / ".config")
    return [
        *(Path(folder) / "pip" / "pip.conf" for folder in reversed(shared)),
        Path("/etc/pip.conf"),
        home / ".pip" / "pip.conf",
        own / "pip" / "pip.conf",
        Path(sys.prefix) / "pip.conf",
        *([Path(named)] if named else []),
    ]


def _uv_toml_keys(environ: Mapping[str, str]) -> set[str]:
    """The keys that are set in uv's own configuration files."""
    from isobench.system import reading

    home = Path(environ.get("HOME") or os.path.expanduser("~"))  # noqa: PTH111 - pathlib's may raise
    own = Path(environ.get("XDG_CONFIG_HOME") or home / ".config")
    named = environ.get("UV_CONFIG_FILE")
    keys: set[str] = set()
    for file in [Path(named)] if named else [own / "uv" / "uv.toml", Path("/etc/uv/uv.toml")]:
        try:
            table = reading.read_toml(file)
        except (OSError, ValueError):
            continue  # uv reports what is wrong with it
        keys |= {*table, *(table["pip"] if isinstance(table.get("pip"), dict) else {})}
    return keys


def _absolute(place: str) -> str:
    """A find-links location that doesn't depend on the current folder: uv is run in another one."""
    return place if "://" in place else os.path.abspath(os.path.expanduser(place))  # noqa: PTH100, PTH111
