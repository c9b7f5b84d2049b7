"""The states of a session on the server, as a table."""

from __future__ import annotations

from enum import Enum

from manycast.wire.rtsp.errors import MethodNotImplemented, MethodNotValidInThisState


class SessionState(Enum):
    """RFC 2326 appendix A.2."""

    INIT = "Init"  # no track is set up; also before there is a session
    READY = "Ready"
    PLAYING = "Playing"
    RECORDING = "Recording"


# The order in which OPTIONS lists them.
METHODS = (
    "DESCRIBE",
    "SETUP",
    "PLAY",
    "PAUSE",
    "OPTIONS",
    "TEARDOWN",
    "GET_PARAMETER",
    "SET_PARAMETER",
    "ANNOUNCE",
    "RECORD",
)
PUBLIC = ", ".join(METHODS)  # the value of the `Public` header (RFC 2326 section 10.1)

_INIT, _READY = SessionState.INIT, SessionState.READY
_PLAYING, _RECORDING = SessionState.PLAYING, SessionState.RECORDING

_STATELESS = ("OPTIONS", "DESCRIBE", "GET_PARAMETER", "SET_PARAMETER")

# RFC 2326 appendix A.2, with two readings of our own: PAUSE does nothing in Ready (RFC 7826 section 13.6
# allows it, and players send it twice); ANNOUNCE describes what is set up after it, so it comes in Init.
_NEXT = {
    **{(state, method): state for state in SessionState for method in _STATELESS},
    (_INIT, "ANNOUNCE"): _INIT,
    (_INIT, "SETUP"): _READY,
    (_INIT, "TEARDOWN"): _INIT,
    (_READY, "SETUP"): _READY,
    (_READY, "PLAY"): _PLAYING,
    (_READY, "RECORD"): _RECORDING,
    (_READY, "PAUSE"): _READY,
    (_READY, "TEARDOWN"): _INIT,
    (_PLAYING, "SETUP"): _PLAYING,
    (_PLAYING, "PLAY"): _PLAYING,
    (_PLAYING, "PAUSE"): _READY,
    (_PLAYING, "TEARDOWN"): _INIT,
    (_RECORDING, "SETUP"): _RECORDING,
    (_RECORDING, "RECORD"): _RECORDING,
    (_RECORDING, "PAUSE"): _READY,
    (_RECORDING, "TEARDOWN"): _INIT,
}


def next_state(state: SessionState, method: str, *, publishing: bool = False) -> SessionState:
    """The state after `method` was answered with 200; a refused request changes nothing.

    `publishing`: the session was opened by ANNOUNCE. It may RECORD and not PLAY, any other may not RECORD.
    Raises MethodNotImplemented for a method nobody knows, MethodNotValidInThisState for one that comes at the
    wrong time.
    """
    if method not in METHODS:
        raise MethodNotImplemented(f"method {method[:80]!r}")
    allowed = allowed_methods(state, publishing=publishing)
    if method not in allowed:
        raise MethodNotValidInThisState(method, state.value, allowed)
    return _NEXT[state, method]


def allowed_methods(state: SessionState, *, publishing: bool = False) -> tuple[str, ...]:
    """What may come in this state, in the order of METHODS: the value of `Allow`."""
    other_role = "PLAY" if publishing else "RECORD"
    return tuple(method for method in METHODS if (state, method) in _NEXT and method != other_role)
