"""What an address over HTTP asks for."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from urllib.parse import parse_qsl, unquote

from manycast.wire.http import HttpError, origin_form

MAX_NAME_CHARS = 1024
MAX_PARAMETERS = 100


class Form(Enum):
    """How a stream is written; the value stands behind its name."""

    FLV = ".flv"
    MP4 = ".mp4"


@dataclass(frozen=True, slots=True)
class StreamAddress:
    name: str  # decoded, without leading, trailing and doubled slashes; never upwards
    parameters: dict[str, str]

    @property
    def form(self) -> Form | None:
        """What the end of the name asks for, if it does."""
        return next((form for form in Form if self.name.endswith(form.value) and self.name != form.value), None)

    @property
    def plain_name(self) -> str:
        """The name without what asks for a form."""
        return self.name if self.form is None else self.name.removesuffix(self.form.value)


def parse_address(target: str) -> StreamAddress:
    """Read the target of a request. Raises HttpError for what no stream can be called."""
    path, _, query = origin_form(target).partition("?")
    if len(path) > 3 * MAX_NAME_CHARS:
        raise HttpError(414, f"a path of {len(path)} characters")
    try:
        name = unquote(path, errors="strict")
    except UnicodeDecodeError:
        raise HttpError(400, "the path is no UTF-8") from None
    if len(name) > MAX_NAME_CHARS:
        raise HttpError(414, f"a name of {len(name)} characters, at most {MAX_NAME_CHARS}")
    if any(part in (".", "..") for part in name.replace("\\", "/").split("/")):
        raise HttpError(404, "'.' or '..' in the path")
    if any(character < " " or character in "\x7f\\" for character in name):
        raise HttpError(400, "a control character or a backslash in the path")
    name = "/".join(part for part in name.split("/") if part)
    try:
        parameters = parse_qsl(query, keep_blank_values=True, max_num_fields=MAX_PARAMETERS)
    except ValueError:
        raise HttpError(400, f"more than {MAX_PARAMETERS} parameters") from None
    return StreamAddress(name, {key.lower(): value for key, value in parameters})


def said_of(name: str, error: Exception) -> str:
    """What is wrong with a stream or file, with its name once: what is said of files begins with it."""
    text = str(error)
    return text if text.startswith(f"{name.rpartition('/')[2]}:") else f"{name}: {text}"
