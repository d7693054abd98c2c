"""Secrets in addresses, in arguments and in text, masked before anything is shown, logged or stored."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

MASK = "***"

# Patterns are compiled when they are needed, which takes 5 ms: `_may_hold_secrets` says whether that is so.
_ADDRESS = r"(?i)\b[a-z][a-z0-9+.-]{1,20}://[^\s\"'`<>]+"
_USER = r"(?<=://)[^/\s?#]+(?=@)"
_QUERY = r"(?<=[?&;])([^=&;#]*)=[^&;#]+"
# Where channels and indexes have a token of their own: conda's /t/TOKEN/, packagecloud's /priv/TOKEN/, ...
_BEFORE = {"t", "priv", "token", "basic"}
_AFTER = {"simple"}
_KNOWN = (
    r"\b(?:hf_(?=[a-z]*[A-Z0-9])[A-Za-z0-9]{8,}"  # Hugging Face
    r"|gh[pousr]_[A-Za-z0-9]{16,}|github_pat_\w{16,}|glpat-[\w-]{16,}"  # GitHub, GitLab
    r"|(?:AKIA|ASIA)[A-Z0-9]{12,}|AIza[\w-]{30,}"  # AWS, Google
    r"|eyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*"  # a JSON web token
    r"|sk-[\w-]{16,}|xox[abeoprs]-[\w-]{10,}|pypi-[\w-]{30,}|npm_[A-Za-z0-9]{30,})"
)
# Not --max_tokens, --tokenizer, --pad_token or --bos_token_id, which are a language model's.
_OF_TEXT = ("pad", "bos", "eos", "sep", "cls", "unk", "mask", "stop", "image", "start", "end")
_NAME = (
    r"(?i)" + "".join(rf"(?<!{word})(?<!{word}[-_])" for word in _OF_TEXT) + r"token(?!s|iz|[-_]?(?:id|type))"
    r"|secret|passw|passphrase|credential|(?:api|access|private|account|sas)[-_]?key|(?:^|[-_])(?:auth|pwd)$"
)
_MARKS = (
    *("token", "secret", "passw", "passphrase", "credential", "key", "auth", "pwd", "://", "hf_", "gh", "glpat-"),
    *("akia", "asia", "aiza", "eyj", "sk-", "xox", "pypi-", "npm_"),
)
"""In lower case, what each secret has, or its name."""


def redacted(text: str) -> str:
    """The text with `***` for each secret: passwords, tokens and queries in addresses, tokens of known forms."""
    if not _may_hold_secrets(text):
        return text
    text = re.sub(_ADDRESS, lambda found: _without_secrets(found[0]), text)
    return re.sub(_KNOWN, MASK, text)


def has_secret(address: str) -> bool:
    """Whether an address carries a password or a token."""
    return redacted(address) != address


def is_secret(name: str, value: str = "") -> bool:
    """Does the name of a variable or an option say that its value is secret, or does the value look like a token?"""
    if not _may_hold_secrets(f"{name} {value}"):
        return False
    return (bool(re.search(_NAME, name)) and not value.isdigit()) or has_secret(value)


def words(command: Sequence[str], mask: str = "...") -> tuple[str, ...]:
    """A command line or a script's arguments without values that are secret: `--token X`, `NAME=VALUE`, `--key=X`.

    A word with spaces may hold words of its own: `--script-args "--token X"`.
    """
    if not _may_hold_secrets(" ".join(command)):
        return tuple(command)
    shown: list[str] = []
    before = ""
    for word in command:
        shown.append(_word(before, word, mask))
        before = "" if " " in word else word
    return tuple(shown)


def holds_secrets(command: Sequence[str]) -> bool:
    """Has a command words that `words` masks?"""
    return words(command) != tuple(command)


def _word(before: str, word: str, mask: str) -> str:
    if " " in word.strip():
        parts = re.split(r"(\s+)", word)
        parts[::2] = words(parts[::2], mask)
        return "".join(parts)
    name, separator, value = word.partition("=")
    nested, inner, last = value.partition("=")  # --env=NAME=VALUE, --script-args=--token=VALUE
    if inner and name.startswith("-") and is_secret(nested, last):
        return f"{name}={nested}={mask}"
    if separator and is_secret(name, value) and "/" not in name:
        return f"{name}={mask}" if not has_secret(value) or "://" not in value else f"{name}={redacted(value)}"
    nested, inner, last = before.rpartition("=")
    option = last if before.startswith("-") and inner else before
    if option.startswith("-") and not word.startswith("-") and is_secret(option, word):
        return redacted(word) if "://" in word else mask
    return mask if _may_hold_secrets(word) and re.fullmatch(_KNOWN, word) else redacted(word)


def redact_file(log_file: Path, start: int) -> str:
    """What was written to a log since `start`, without secrets, which are removed from the file, too."""
    content = log_file.read_bytes()
    printed = redacted(content[start:].decode(errors="replace"))
    if printed.encode() != content[start:]:
        log_file.write_bytes(content[:start] + printed.encode())
    return printed.strip()


def _may_hold_secrets(text: str) -> bool:
    text = text.lower()
    return any(mark in text for mark in _MARKS)


def _without_secrets(found: str) -> str:
    address = found.rstrip(")]}>,;.:")  # of the sentence around it
    rest_of_text = found[len(address) :]
    if address.lower().startswith("file:"):
        return found
    address = re.sub(_QUERY, lambda found: f"{found[1]}={MASK}", re.sub(_USER, MASK, address))
    scheme, _, rest = address.partition("://")
    end = min((place for place in (rest.find("?"), rest.find("#")) if place >= 0), default=len(rest))
    host, *segments = rest[:end].split("/")
    for place, segment in enumerate(segments):
        before = segments[place - 1] if place else ""
        after = segments[place + 1] if place + 1 < len(segments) else ""
        if before in _BEFORE or _is_token(segment, 6 if after in _AFTER else 16):
            segments[place] = MASK if segment else ""
    return f"{scheme}://{'/'.join([host, *segments])}{rest[end:]}{rest_of_text}"


def _is_token(segment: str, shortest: int) -> bool:
    """Is a part of an address so long and mixed that it's no name?"""
    if not re.fullmatch(r"[\w~%+=-]+", segment) or len(segment) < shortest:
        return False
    mixed = any(map(str.isdigit, segment)) and any(map(str.isalpha, segment))
    return mixed or (segment.isupper() and segment.isalpha()) or bool(re.fullmatch(_KNOWN, segment))
