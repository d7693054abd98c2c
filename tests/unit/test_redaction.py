"""Secrets in addresses, arguments and texts are masked; what only looks like one stays."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from isobench import redaction
from isobench.errors import ProvisionError, UsageError
from isobench.planning import script_variables

JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.c2lnbmF0dXJl"


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("https://ana:hunter2@host/simple", "https://***@host/simple"),
        ("https://hunter2@host/simple", "https://***@host/simple"),
        ("https://ana:hunt@er2@host/simple", "https://***@host/simple"),
        ("https://host/simple?token=hunter2", "https://host/simple?token=***"),
        ("https://host/x.whl?X-Sig=a%2Fb&page=hunter2#x", "https://host/x.whl?X-Sig=***&page=***#x"),
        ("https://host/SECRET/simple", "https://host/***/simple"),
        ("https://host/hunter2/simple/torch/", "https://host/***/simple/torch/"),
        ("https://conda.host/t/ab-hunter2/channel/linux-64", "https://conda.host/t/***/channel/linux-64"),
        ("https://conda.host/t/hunter2", "https://conda.host/t/***"),
        ("https://packages.host/priv/hunter2/pypi/simple", "https://packages.host/priv/***/pypi/simple"),
        ("https://dl.host/aB3dEf5hIjKlhunter2/org/python/simple/", "https://dl.host/***/org/python/simple/"),
        ("git+https://hunter2@host/o/r.git@v1", "git+https://***@host/o/r.git@v1"),
        ("ftp://ana:hunter2@host/", "ftp://***@host/"),
        ("s3://AKIAIOSFODNN7EXAMPLE:hunter2@bucket/x", "s3://***@bucket/x"),
    ],
)
def test_what_is_secret_in_an_address_is_masked(address: str, shown: str) -> None:
    assert redaction.redacted(address) == shown
    assert redaction.redacted(f"error: `{address}` failed ({address})") == f"error: `{shown}` failed ({shown})"
    assert redaction.has_secret(address)
    error = ProvisionError(f"{address} failed", hint=f"Open {address}", details=f"see {address}")
    assert "hunter2" not in f"{error} {error.message} {error.hint} {error.details}"
    assert "SECRET" not in str(error)


@pytest.mark.parametrize(
    "text",
    [
        "https://packages.example/simple/torch/",
        "https://packages.example/whl/cpu",
        "https://conda.anaconda.org/conda-forge/linux-64/repodata.json.zst",
        "https://artifactory.host/artifactory/api/pypi/pypi/simple",
        "http://127.0.0.1:8123/linux-64/x-1.0-py311h0123456789abcdef_0.conda",
        "file:///home/ana/0123456789abcdef01234567/t/x?y=z",
        "hf_transfer==0.1.9",
        "mail ana@example.org about task-scheduling and disk-usage",
        "sha256:0123456789abcdef0123456789abcdef",
    ],
)
def test_what_is_no_secret_stays(text: str) -> None:
    assert redaction.redacted(text) == text
    assert not redaction.has_secret(text)


@pytest.mark.parametrize(
    ("command", "shown"),
    [
        ("--token hunter2 --width 5", "--token ... --width 5"),
        ("--hf-token=hunter2", "--hf-token=..."),
        ("--api-key=hunter2", "--api-key=..."),
        ("--api_key hunter2", "--api_key ..."),
        ("HF_TOKEN=hunter2", "HF_TOKEN=..."),
        ("hub.token=hunter2", "hub.token=..."),
        ("--password hunter2", "--password ..."),
        ("--db-passwd=hunter2", "--db-passwd=..."),
        ("--auth hunter2", "--auth ..."),
        ("--env HF_TOKEN=hunter2", "--env HF_TOKEN=..."),
        ("--env=MY_SECRET=hunter2", "--env=MY_SECRET=..."),
        ("--script-args=--token=hunter2", "--script-args=--token=..."),
        ("--url https://ana:hunter2@host/x", "--url https://***@host/x"),
        ("hf_AbCdEfGhIjKlMnOp", "..."),
        ("--key ghp_0123456789abcdefghij", "--key ..."),
        ("--id AKIAIOSFODNN7EXAMPLE", "--id ..."),
        (f"--jwt {JWT}", "--jwt ..."),
        ("sk-0123456789abcdefghij", "..."),
        ("github_pat_0123456789abcdefghij_x", "..."),
        ("glpat-0123456789abcdefghij", "..."),
    ],
)
def test_arguments_that_look_like_secrets_are_masked(command: str, shown: str) -> None:
    given = command.split()
    assert " ".join(redaction.words(given)) == shown
    assert redaction.words(["isobench", "--script-args", command, "x"]) == ("isobench", "--script-args", shown, "x")
    assert redaction.holds_secrets(given)
    stored = " ".join(script_variables.recorded_arguments(given))
    assert not any(secret in stored for secret in ("hunter2", "0123456789", "EXAMPLE", "AbCd", JWT))


@pytest.mark.parametrize(
    "command",
    [
        "--max_tokens 512",
        "--num-tokens=7",
        "--tokenizer bert-base",
        "--pad_token 0",
        "--bos-token <s>",
        "--eos_token_id=2",
        "--token 7",
        "--author ana",
        "--key-value-heads 8",
        "--path /data/token=1/x.npy",
        "a=b_token=c",
        "--token --width 5",
    ],
)
def test_arguments_of_language_models_stay(command: str) -> None:
    assert redaction.words(command.split()) == tuple(command.split())
    assert script_variables.recorded_arguments(command.split()) == tuple(command.split())


def test_two_secrets_are_two_arguments_and_one_is_always_the_same() -> None:
    first, second, third = (script_variables.recorded_arguments(["--token", one]) for one in ("a1", "b2", "a1"))
    assert first == third != second
    assert first[1].startswith("sha256:")


def test_a_variable_is_secret_by_its_name_or_its_value() -> None:
    given = {"HF_TOKEN": "x", "URL": "https://ana:hunter2@host/", "SAVED": JWT, "MAX_TOKENS": "512", "WIDTH": "5"}
    stored = script_variables.recorded(given)
    assert {name for name, value in stored.items() if value.startswith("sha256:")} == {"HF_TOKEN", "URL", "SAVED"}


def test_an_error_of_the_users_is_shown_as_it_was() -> None:
    assert UsageError("no such file: https.py").message == "no such file: https.py"


def test_a_process_gives_up_the_secrets_that_it_was_started_with() -> None:
    code = (
        "import os, json, subprocess, sys\nfrom pathlib import Path\nfrom isobench.system import own_process\n"
        "own_process.hide_secrets()\n"
        "read = lambda name: Path(f'/proc/{os.getpid()}/{name}').read_bytes().decode()\n"
        "child = subprocess.run(['/bin/sh', '-c', 'echo $API_TOKEN'], capture_output=True, text=True).stdout\n"
        "native = subprocess.run(['/usr/bin/env'], env=None, capture_output=True).stdout.decode(errors='replace')\n"
        "print(json.dumps([read('environ'), read('cmdline'), os.environ['API_TOKEN'], child, native, sys.argv]))"
    )
    given = ["--token", "hunter2", "--width", "5"]
    done = subprocess.run(
        [sys.executable, "-c", code, *given],
        env={**os.environ, "API_TOKEN": "hunter2", "ODD": "\udcff"},
        capture_output=True,
        text=True,
        check=True,
    )
    environ, cmdline, own, child, native, argv = json.loads(done.stdout)
    assert environ.strip("\0") == ""
    assert "hunter2" not in cmdline
    assert cmdline.endswith("--token\0*******\0--width\0" + "5\0")
    assert own == child.strip() == "hunter2"
    assert "API_TOKEN=hunter2" in native
    assert argv[1:] == given
