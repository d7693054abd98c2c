"""`isobench benchmark`: `isobench run` by the name that TurnkeyML's users know; its help says what is installed."""

from __future__ import annotations

import click

from isobench.cli.run import run
from isobench.cli.words import WordsCommand


class _Explained(WordsCommand):
    """A command whose help tells of the devices, runtimes and arguments that are installed."""

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
                rows.append((family, "no runtime is installed for it"))
                continue
            names = [f"{entry.name} (default)" if entry.name == first else entry.name for entry in able]
            rows.append((family, ", ".join(sorted(names, key=lambda name: "(default)" not in name))))
        with formatter.section("Devices, and the runtimes of each"):
            formatter.write_dl(rows)
        parts = [
            (f"{family}::{part}", f"{entry.name}; configs: {', '.join(configs) or 'none'}")
            for entry in entries.values()
            for family, parts in entry.devices.items()
            for part, configs in parts.items()
        ]
        if parts:
            with formatter.section("Parts of devices, the first of a runtime its default"):
                formatter.write_dl(parts)
        with formatter.section("What each runtime takes by --rt-args"):
            takes: dict[str, str] = {}
            for name, entry in entries.items():
                classes = {entry.cls: name}
                for family in entry.devices:  # a class of its own may take arguments of its own
                    classes.setdefault(entry.cls.on(Device(family=family)), f"{name} on {family}")
                takes |= {said: ", ".join(map(str, keywords(cls)[0])) or "nothing" for cls, said in classes.items()}
            formatter.write_dl([*takes.items()])
        broken = [plugin.name for plugin in plugins.loaded() if plugin.error]
        if broken:
            formatter.write_paragraph()
            formatter.write_text(f"Plugins that can't be loaded: {', '.join(broken)}. isobench plugins says why.")


benchmark = _Explained(
    "benchmark",
    callback=run.callback,
    params=run.params,
    help="Measure models on runtimes: isobench run by its older name.\n\n" + (run.help or "").partition("\n\n")[2],
)
