"""The command line: the one place that prints results, and that turns an error into an exit code."""
