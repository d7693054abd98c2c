"""Words for a failure that workers and plugins use and that older results contain; the ending and the cause of each."""

from __future__ import annotations

from isobench.failures import Ending

WORDS = [
    ("UsageError", Ending.USAGE, ""),
    ("ModelError", Ending.MODEL_ERROR, ""),
    ("ProvisionError", Ending.ENVIRONMENT, ""),
    ("ResultError", Ending.RESULT, ""),
    ("crash", Ending.CRASH, ""),
    ("out-of-memory", Ending.OUT_OF_MEMORY, ""),
    ("fallback", Ending.PROVIDER_FALLBACK, ""),
    ("LookupError", Ending.EXCEPTION, "LookupError"),
    ("InvalidGraph", Ending.EXCEPTION, "InvalidGraph"),
    ("no-license", Ending.REFUSED, "no-license"),
]
