"""Preflight: everything that is requested is checked before any work. `plan`: of one call; `sweep`: of a suite."""
