from __future__ import annotations

import errno
import os

import pytest
from ending_words import WORDS

from isobench import errors, failures
from isobench.errors import (
    IsobenchError,
    LockError,
    ModelError,
    ProvisionError,
    ResultError,
    UsageError,
    WorkerError,
    unexpected,
)
from isobench.failures import Ending, Phase


def test_every_kind_has_a_meaning_in_one_line() -> None:
    assert set(failures.MEANINGS) == set(Ending)
    assert all(meaning and "\n" not in meaning for meaning in failures.MEANINGS.values())


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        (Ending.INTERNAL, 1),
        (Ending.USAGE, 2),
        (Ending.SCRIPT_ERROR, 3),
        (Ending.ENVIRONMENT, 4),
        (Ending.CRASH, 5),
        (Ending.EXCEPTION, 5),
        (Ending.RESULT, 6),
    ],
)
def test_the_exit_code_is_that_of_the_kind(kind: Ending, code: int) -> None:
    assert failures.exit_code(kind) == code
    assert WorkerError("it failed", kind=kind).exit_code == code


@pytest.mark.parametrize(("word", "kind", "cause"), WORDS)
def test_a_word_that_is_no_kind_becomes_the_cause(word: str, kind: Ending, cause: str) -> None:
    assert failures.kind_and_cause(word) == (kind, cause)


def test_each_class_of_errors_has_a_kind() -> None:
    kinds = [cls("it failed").kind for cls in (IsobenchError, UsageError, ModelError, ProvisionError, ResultError)]
    assert kinds == ["internal", "usage", "model-error", "environment", "result"]


def test_an_error_may_have_another_kind_than_its_class() -> None:
    error = errors.ModelError("it failed", kind=Ending.NO_MODEL, phase=Phase.RUNNING_SCRIPT)
    assert (error.kind, error.phase, error.exit_code) == (Ending.NO_MODEL, Phase.RUNNING_SCRIPT, 3)


def test_an_exception_that_nobody_expected_becomes_an_error_with_its_traceback() -> None:
    def raised(error: Exception) -> Exception:
        try:
            raise error
        except Exception as caught:  # noqa: BLE001
            return caught

    found = unexpected(raised(ValueError("high <= 0")), "building b")
    assert (found.kind, found.cause) == (Ending.INTERNAL, "ValueError")
    assert found.message == "an error in isobench while building b: ValueError: high <= 0"
    assert "in raised" in found.details
    assert unexpected(raised(MemoryError("29 TiB")), "building b").kind is Ending.OUT_OF_MEMORY
    known = ModelError("not a model")
    assert unexpected(known, "building b") is known


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (errno.ENOSPC, Ending.DISK_FULL),
        (errno.EDQUOT, Ending.DISK_FULL),
        (errno.ENOMEM, Ending.OUT_OF_MEMORY),
        (errno.EROFS, Ending.RESULT),
        (errno.EIO, Ending.INTERNAL),
        (errno.EMFILE, Ending.INTERNAL),
    ],
)
def test_what_the_machine_lacks_is_named_with_the_file(number: int, kind: Ending) -> None:
    found = unexpected(OSError(number, os.strerror(number), "/home/builds"), "building b")
    assert (found.kind, found.message) == (kind, f"building b failed: /home/builds: {os.strerror(number)}")
    assert found.hint


def test_a_full_disk_is_one_whatever_could_not_be_written() -> None:
    def lock() -> None:
        try:
            raise OSError(errno.ENOSPC, "full")
        except OSError:
            raise LockError("can't be locked") from None

    def device() -> None:
        try:
            lock()
        except LockError as error:
            raise UsageError(f"unsafe: {error.message}") from None

    with pytest.raises(UsageError) as raised:
        device()
    found = unexpected(raised.value, "measuring")
    assert (found.kind, found.message) == (Ending.DISK_FULL, "unsafe: can't be locked")


def test_a_plugin_may_raise_anything_but_an_interrupt_ends_the_call() -> None:
    class OwnError(BaseException):
        def __str__(self) -> str:
            raise ValueError("no text")

    found = unexpected(OwnError(), "measuring")
    assert (found.message, found.cause) == ("an error in isobench while measuring: OwnError", "OwnError")
    assert unexpected(SystemExit(3), "measuring").cause == "SystemExit"
    for error in (KeyboardInterrupt(), GeneratorExit()):
        with pytest.raises(type(error)):
            unexpected(error, "measuring")
        first, second = ValueError("1"), ValueError("2")
        first.__cause__, second.__cause__ = second, first
        assert unexpected(first, "measuring").cause == "ValueError"
        made_of_it = ImportError("numpy")
        made_of_it.__cause__ = error
        with pytest.raises(type(error)):
            unexpected(made_of_it, "measuring")
