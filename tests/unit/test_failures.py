from __future__ import annotations

import errno

import pytest

from isobench import errors, failures
from isobench.errors import IsobenchError, ModelError, ProvisionError, ResultError, UsageError, WorkerError, unexpected
from isobench.failures import FailureKind, Phase


def test_every_kind_has_a_meaning_in_one_line() -> None:
    assert set(failures.MEANINGS) == set(FailureKind)
    assert all(meaning and "\n" not in meaning for meaning in failures.MEANINGS.values())


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        (FailureKind.INTERNAL, 1),
        (FailureKind.USAGE, 2),
        (FailureKind.SCRIPT_ERROR, 3),
        (FailureKind.ENVIRONMENT, 4),
        (FailureKind.CRASH, 5),
        (FailureKind.EXCEPTION, 5),
        (FailureKind.RESULT, 6),
    ],
)
def test_the_exit_code_is_that_of_the_kind(kind: FailureKind, code: int) -> None:
    assert failures.exit_code(kind) == code
    assert WorkerError("it failed", kind=kind).exit_code == code


@pytest.mark.parametrize(
    ("word", "kind", "cause"),
    [
        ("crash", FailureKind.CRASH, ""),
        ("ModelError", FailureKind.MODEL_ERROR, ""),
        ("ProvisionError", FailureKind.ENVIRONMENT, ""),
        ("fallback", FailureKind.PROVIDER_FALLBACK, ""),
        ("LookupError", FailureKind.EXCEPTION, "LookupError"),
        ("no-license", FailureKind.REFUSED, "no-license"),
    ],
)
def test_a_word_that_is_no_kind_becomes_the_cause(word: str, kind: FailureKind, cause: str) -> None:
    assert failures.kind_and_cause(word) == (kind, cause)


def test_each_class_of_errors_has_a_kind() -> None:
    kinds = [cls("it failed").kind for cls in (IsobenchError, UsageError, ModelError, ProvisionError, ResultError)]
    assert kinds == ["internal", "usage", "model-error", "environment", "result"]


def test_an_error_may_have_another_kind_than_its_class() -> None:
    error = errors.ModelError("it failed", kind=FailureKind.NO_MODEL, phase=Phase.RUNNING_SCRIPT)
    assert (error.kind, error.phase, error.exit_code) == (FailureKind.NO_MODEL, Phase.RUNNING_SCRIPT, 3)


def test_an_exception_that_nobody_expected_becomes_an_error_with_its_traceback() -> None:
    def raised(error: Exception) -> Exception:
        try:
            raise error
        except Exception as caught:  # noqa: BLE001
            return caught

    found = unexpected(raised(ValueError("high <= 0")), "building b")
    assert (found.kind, found.cause) == (FailureKind.INTERNAL, "ValueError")
    assert found.message == "an error in isobench while building b: ValueError: high <= 0"
    assert "in raised" in found.details
    assert unexpected(raised(MemoryError("29 TiB")), "building b").kind is FailureKind.OUT_OF_MEMORY
    known = ModelError("not a model")
    assert unexpected(known, "building b") is known
    with pytest.raises(OSError, match="full"):
        unexpected(OSError(errno.ENOSPC, "full"), "building b")
