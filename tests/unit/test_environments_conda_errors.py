"""Errors of rattler 0.28, shortened, and what the user reads instead."""

from __future__ import annotations

import pytest

from isobench.environments.conda import errors
from isobench.redaction import redacted

OUTPUTS = {
    ("SolverError", "Cannot solve the request because of: No candidates were found for x 9.*."): "no packages satisfy",
    (
        "SolverError",
        "gputool 1.0 would require\n   └─ __cuda >=12, for which no candidates were found.",
    ): "__cuda (an NVIDIA driver) is missing",
    ("GatewayError", "Request failed after 3 retries\nCaused by: tcp connect error"): "conda channel unreachable",
    ("GatewayError", "Caused by: dns error\nCaused by: error resolving DNS"): "conda channel unreachable",
    (
        "OSError",
        "an error occurred during a range request: Request failed after 2 retries",
    ): "conda channel unreachable",
    (
        "GatewayError",
        "could not find subdir 'noarch' in channel 'file:///c/'",
    ): "there is no conda channel at file:///c/",
    ("InstallerError", "HTTP status client error (404 Not Found)"): "doesn't have a file (404)",
    ("InstallerError", "HTTP status client error (403 Forbidden)"): "denied access",
    ("IoError", "failed to copy: No space left on device (os error 28)"): "the disk is full",
    ("IoError", "failed to create: Disk quota exceeded (os error 122)"): "the disk quota is exceeded",
    ("IoError", "failed to create: Permission denied (os error 13)"): "isn't writable",
    ("PanicException", "called `Option::unwrap()` on a `None` value"): "rattler failed",
    ("timeout", "no progress for 60 s while it was fetching python"): "conda channel unreachable: no progress for 60 s",
    ("ModuleNotFoundError", "No module named 'conda_lock'"): "conda-lock, which writes the locks, isn't",
}


@pytest.mark.parametrize(("error", "meaning"), OUTPUTS.items())
def test_what_rattler_prints_is_explained(error: tuple[str, str], meaning: str) -> None:
    why, hint = errors.explain(*error, relock="isobench env lock ort", spec="envs/ort/environment.yml")
    assert meaning in why
    assert hint
    assert "{" not in why + hint


def test_names_passwords_and_tokens_in_addresses_are_never_repeated() -> None:
    text = "https://me:secret@example.org/c and https://example.org/t/secret/c (secretive)"
    assert redacted(text) == "https://***@example.org/c and https://example.org/t/***/c (secretive)"
