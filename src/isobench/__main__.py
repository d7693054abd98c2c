"""`isobench` and `python -m isobench`."""

from __future__ import annotations

from isobench.cli.main import main

if __name__ == "__main__":
    main()
