"""What peers do wrong is told at once, and no kind of fault hides another, nor floods the log."""

from __future__ import annotations

import logging
import time

import pytest

from manycast.servers.connection_log import ConnectionLog
from manycast.servers.faults import INTERVAL_S, MAX_KINDS, MAX_LINES, FaultLog

log = logging.getLogger(__name__)


@pytest.fixture
def now_s(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The clock: its one item is what it shows."""
    clock = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    return clock


@pytest.mark.parametrize(
    ("held", "told"), [(0, []), (1, ["fault 1"]), (2, ["fault 2 (and 1 more such faults)"])], ids=["none", "one", "two"]
)
def test_the_first_fault_is_told_at_once_and_the_rest_together(
    held: int, told: list[str], now_s: list[float], caplog: pytest.LogCaptureFixture
) -> None:
    faults = FaultLog()
    for number in range(1 + held):
        faults.note(log, f"fault {number}")
    faults.handle_timer(now_s[0] + INTERVAL_S)
    assert caplog.messages == ["fault 0", *told]


def test_faults_of_one_kind_make_one_line_a_second(now_s: list[float], caplog: pytest.LogCaptureFixture) -> None:
    faults = FaultLog()
    for _ in range(100):
        faults.note(log, "nothing is called 'x'")
        now_s[0] += 0.1
    assert 9 <= len(caplog.messages) <= 11
    assert caplog.messages[1] == "nothing is called 'x' (and 9 more such faults)"


def test_another_kind_and_another_address_are_told_at_once(
    now_s: list[float], caplog: pytest.LogCaptureFixture
) -> None:
    faults = FaultLog()
    one, again, other = (ConnectionLog(log, f"SRT {address}") for address in ("::1:5000", "::1:5001", "::2:5000"))
    for note in (one, "no passphrase"), (one, "wrong passphrase"), (again, "no passphrase"), (other, "no passphrase"):
        faults.note(*note)
    faults.handle_timer(now_s[0] + INTERVAL_S)
    assert caplog.messages == [
        "SRT ::1:5000: no passphrase",
        "SRT ::1:5000: wrong passphrase",
        "SRT ::2:5000: no passphrase",
        "SRT ::1:5001: no passphrase",
    ]


def test_faults_of_many_kinds_are_counted_when_they_are_too_many(
    now_s: list[float], caplog: pytest.LogCaptureFixture
) -> None:
    faults = FaultLog()
    many = 2 * MAX_KINDS
    for second in range(3):
        for number in range(many):
            faults.note(ConnectionLog(log, f"host{number}:1"), "fault")
        now_s[0] += INTERVAL_S
        faults.handle_timer(now_s[0])
        assert len(caplog.messages) <= (second + 1) * (MAX_LINES + 1) + MAX_LINES
    assert f"{many - MAX_LINES} other faults, too many to tell each" in caplog.messages


def test_passwords_are_not_told(caplog: pytest.LogCaptureFixture) -> None:
    FaultLog().note(log, "nothing is called 'x&pass=sekrit'")
    assert caplog.messages == ["nothing is called 'x&pass=***"]
