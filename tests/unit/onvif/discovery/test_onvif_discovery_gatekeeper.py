"""Which datagrams are looked at."""

from __future__ import annotations

import pytest

from manycast.onvif.discovery import gatekeeper
from manycast.onvif.discovery.gatekeeper import MAX_MESSAGES, MAX_SOURCES, REMEMBERED_S, Gatekeeper
from manycast.onvif.discovery.messages import Probe

from .test_onvif_discovery_messages import probe


def test_a_message_that_comes_again_is_answered_once() -> None:
    gate = Gatekeeper(now_s=0)
    assert gate.admit(probe(), "192.0.2.1", now_s=0) == Probe(message_id="urn:uuid:1")
    assert gate.admit(probe(), "192.0.2.1", now_s=0.1) is None
    assert gate.admit(probe(), "192.0.2.2", now_s=0.1) is not None  # of somebody else
    assert gate.admit(probe(), "192.0.2.1", now_s=REMEMBERED_S + 1) is not None


def test_malformed_messages_are_counted() -> None:
    gate = Gatekeeper(now_s=0)
    assert gate.admit(b"x", "192.0.2.1", now_s=0) is None
    assert (gate.malformed, gate.refused) == (1, 0)


def test_one_sender_cannot_take_the_place_of_others() -> None:
    gate = Gatekeeper(now_s=0)
    admitted = [gate.admit(probe(message_id=f"urn:{n}"), "192.0.2.1", now_s=0.001 * n) for n in range(200)]
    assert gatekeeper.SOURCE_BURST <= sum(each is not None for each in admitted) < gatekeeper.SOURCE_BURST + 5
    assert gate.admit(probe(), "192.0.2.2", now_s=0.2) is not None
    assert gate.admit(probe(message_id="urn:later"), "192.0.2.1", now_s=2) is not None


def test_many_senders_cannot_make_it_work_without_end() -> None:
    gate = Gatekeeper(now_s=0)
    admitted = [gate.admit(probe(message_id=f"urn:{n}"), f"sender {n}", now_s=0) for n in range(1000)]
    assert sum(each is not None for each in admitted) == gatekeeper.TOTAL_BURST
    assert gate.refused == 1000 - gatekeeper.TOTAL_BURST


def test_answers_are_limited() -> None:
    gate = Gatekeeper(now_s=0)
    assert sum(gate.may_answer(now_s=0) for _ in range(3000)) == gatekeeper.ANSWER_BURST
    assert gate.may_answer(now_s=1)


def test_what_it_remembers_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gatekeeper, "TOTAL_RATE", 1e9)
    monkeypatch.setattr(gatekeeper, "TOTAL_BURST", 1e9)
    gate = Gatekeeper(now_s=0)
    for number in range(MAX_MESSAGES + 100):
        gate.admit(probe(message_id=f"urn:{number}"), f"sender {number}", now_s=number * 1e-6)
    assert len(gate._seen) <= MAX_MESSAGES
    assert len(gate._sources) <= MAX_SOURCES
