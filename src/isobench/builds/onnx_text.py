"""Text in an ONNX file that isn't UTF-8, such as names of nodes in another encoding: runtimes take any bytes.

protobuf has such text as `bytes`, which can't be written back.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import onnx
    from google.protobuf.message import Message


def make_readable(model: onnx.ModelProto) -> None:
    r"""Replace all such text by one with escapes (`\xb3`), the same for the same bytes, except in external data."""
    _repair(model)


def _repair(message: Message) -> None:
    for field, value in message.ListFields():
        if field.type == field.TYPE_STRING:
            _repair_text(message, field.name, value, repeated=field.is_repeated)
        elif field.type == field.TYPE_MESSAGE and field.name != "external_data":
            for inner in value if field.is_repeated else (value,):
                _repair(inner)


def _repair_text(message: Message, name: str, value: Any, *, repeated: bool) -> None:
    if not repeated:
        if isinstance(value, bytes):
            setattr(message, name, _escaped(value))
    elif any(isinstance(text, bytes) for text in value):
        value[:] = [_escaped(text) for text in value]


def _escaped(text: str | bytes) -> str:
    return text.decode("utf-8", errors="backslashreplace") if isinstance(text, bytes) else text
