"""Why an SRT call came to nothing, in words."""

from __future__ import annotations

from enum import IntEnum

from manycast.wire.srt.streamid import Rejection


class Failure(IntEnum):
    """SRT's own reasons (SRT_REJECT_REASON in its srt.h), as far as there is something to do about them."""

    PEER = 2
    RESOURCE = 3
    ROGUE = 4
    BACKLOG = 5
    CLOSED = 7
    VERSION = 8
    BAD_SECRET = 10
    UNSECURE = 11
    CONGESTION = 13
    TIMEOUT = 16


_WORDS: dict[int, str] = {
    Failure.RESOURCE: "the server has no resources for it",
    Failure.ROGUE: "what answers there does not speak SRT as it should",
    Failure.BACKLOG: "the server takes no more callers just now",
    Failure.CLOSED: "the server is closing",
    Failure.VERSION: "the server speaks another version of SRT",
    Failure.BAD_SECRET: "the passphrase is wrong",
    Failure.CONGESTION: "the server speaks SRT of another kind, for files",
    Failure.TIMEOUT: "the server does not answer",
    Rejection.BAD_REQUEST: "the server cannot read the stream id (1400)",
    Rejection.UNAUTHORIZED: "the server asks for a login, or refuses this one (1401): check user and pass",
    Rejection.OVERLOAD: "the server has no room for another one (1402)",
    Rejection.FORBIDDEN: "the server does not allow it (1403)",
    Rejection.NOT_FOUND: "the server knows no stream of this name (1404): check the streamid",
    Rejection.BAD_MODE: "the server does not do what the stream id asks for (1405)",
    Rejection.CONFLICT: "the server says that the stream is in use (1409)",
    Rejection.UNSUPPORTED_MEDIA: "the server does not have what the stream id asks for (1415)",
    Rejection.SERVER_ERROR: "the server has made a mistake (1500)",
}


_FOR_THE_CALLER = frozenset(
    {
        Failure.BAD_SECRET,
        Failure.UNSECURE,
        Rejection.BAD_REQUEST,
        Rejection.UNAUTHORIZED,
        Rejection.FORBIDDEN,
        Rejection.BAD_MODE,
        Rejection.UNSUPPORTED_MEDIA,
    }
)


def is_for_the_caller(code: int) -> bool:
    """Whether another call like this one would fare no better."""
    return code in _FOR_THE_CALLER


def words_for(code: int, *, with_passphrase: bool) -> str:
    """What a refusal's number means, to one who called with a passphrase or without."""
    if code == Failure.UNSECURE:
        return (
            "a passphrase is set, but the server has none"
            if with_passphrase
            else "the server wants a passphrase: add passphrase=... to the url"
        )
    return _WORDS.get(code, f"the server refuses (SRT reason {code})")
