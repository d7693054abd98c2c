"""`isobench benchmark`: `isobench run` by the name that TurnkeyML's users know; its help lists what is installed."""

from __future__ import annotations

import click

from isobench.cli.run import run
from isobench.cli.words import WordsCommand


class _WithInstalled(WordsCommand):
    """A command whose help lists the installed devices, runtimes and their arguments."""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        from isobench import plugins
        from isobench.errors import UsageError
        from isobench.runtimes import registry
        from isobench.runtimes.keywords import keywords
        from isobench.system.devices import Device

        entries = registry.runtimes()
        rows = []
        for family in registry.families():
            device = Device(family=family)
            able = [entry for entry in entries.values() if entry.supports(device)]
            try:
                first = registry.default(device)
            except UsageError:
                rows.append((family, "no runtime installed"))
                continue
            names = [f"{entry.name} (default)" if entry.name == first else entry.name for entry in able]
            rows.append((family, ", ".join(sorted(names, key=lambda name: "(default)" not in name))))
        with formatter.section("Devices, with their runtimes"):
            formatter.write_dl(rows)
        parts = [
            (f"{family}::{part}", f"{entry.name}; configs: {', '.join(configs) or 'none'}")
            for entry in entries.values()
            for family, parts in entry.devices.items()
            for part, configs in parts.items()
        ]
        if parts:
            with formatter.section("Parts of devices (the first part of a runtime is its default)"):
                formatter.write_dl(parts)
        with formatter.section("Arguments of runtimes (--rt-args NAME::VALUE, or -r RUNTIME:NAME=VALUE)"):
            takes: dict[str, str] = {}
            for name, entry in entries.items():
                classes = {entry.cls: name}
                for family in entry.devices:  # a device may have a class with other arguments
                    classes.setdefault(entry.cls.on(Device(family=family)), f"{name} on {family}")
                takes |= {of: ", ".join(map(str, keywords(cls)[0])) or "none" for cls, of in classes.items()}
            formatter.write_dl([*takes.items()])
        broken = [plugin.name for plugin in plugins.loaded() if plugin.error]
        if broken:
            formatter.write_paragraph()
            formatter.write_text(
                f"Plugins that failed to load: {', '.join(broken)}. isobench plugins shows the reasons."
            )


benchmark = _WithInstalled(
    "benchmark",
    callback=run.callback,
    params=run.params,
    help="Measure models on runtimes: another name of isobench run.\n\n" + (run.help or "").partition("\n\n")[2],
)
