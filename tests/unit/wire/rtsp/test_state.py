"""The session's states: every state with every method."""

import pytest

from manycast.wire.rtsp.errors import MethodNotImplemented, MethodNotValidInThisState
from manycast.wire.rtsp.state import METHODS, PUBLIC, SessionState, allowed_methods, next_state

I, R, P, C = SessionState.INIT, SessionState.READY, SessionState.PLAYING, SessionState.RECORDING  # noqa: E741

# Written out, not derived: method, then the state after it from Init, Ready, Playing, Recording; None is 455.
VIEWER: dict[str, tuple[SessionState | None, ...]] = {
    "DESCRIBE": (I, R, P, C),
    "SETUP": (R, R, P, C),
    "PLAY": (None, P, P, None),
    "PAUSE": (None, R, R, R),
    "OPTIONS": (I, R, P, C),
    "TEARDOWN": (I, I, I, I),
    "GET_PARAMETER": (I, R, P, C),
    "SET_PARAMETER": (I, R, P, C),
    "ANNOUNCE": (I, None, None, None),
    "RECORD": (None, None, None, None),
}
PUBLISHER = {**VIEWER, "PLAY": (None,) * 4, "RECORD": (None, C, None, C)}


@pytest.mark.parametrize("publishing", [False, True])
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("state", SessionState)
def test_every_method_in_every_state(state: SessionState, method: str, publishing: bool) -> None:
    wanted = (PUBLISHER if publishing else VIEWER)[method][list(SessionState).index(state)]
    allowed = allowed_methods(state, publishing=publishing)
    assert (method in allowed) == (wanted is not None)
    if wanted is not None:
        assert next_state(state, method, publishing=publishing) is wanted
        return
    with pytest.raises(MethodNotValidInThisState) as caught:
        next_state(state, method, publishing=publishing)
    assert caught.value.allow == allowed
    assert caught.value.headers() == [("Allow", ", ".join(allowed))]


@pytest.mark.parametrize("method", ["options", "REDIRECT", "", "GET", "é" * 1000])
def test_a_method_nobody_knows_is_501_in_every_state(method: str) -> None:
    for state in SessionState:
        with pytest.raises(MethodNotImplemented) as caught:
            next_state(state, method)
        assert caught.value.status == 501


def test_the_public_line_has_all_ten_methods_in_their_order() -> None:
    assert PUBLIC == ("DESCRIBE, SETUP, PLAY, PAUSE, OPTIONS, TEARDOWN, GET_PARAMETER, SET_PARAMETER, ANNOUNCE, RECORD")
