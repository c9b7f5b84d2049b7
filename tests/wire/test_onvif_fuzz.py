"""Every operation with values of the right types and absurd contents: a reply the schema allows, or a fault."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine, Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lxml import etree
from support.soap import AskedDevice, asked_device, delivered, envelope
from support.soap_fuzz import requests

from manycast.onvif.soap.catalogue import SERVICES
from manycast.onvif.soap.contract import contract
from manycast.onvif.soap.names import ENVELOPE
from manycast.onvif.state.runtime_file import parse, serialize

PREFIXES = ("tds", "tev", "tmd")

_ENV = f"{{{ENVELOPE}}}"


@pytest.fixture(scope="module")
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    loop = asyncio.new_event_loop()
    yield loop
    loop.close()


@pytest.fixture(scope="module")
def device(loop: asyncio.AbstractEventLoop) -> Iterator[AskedDevice]:
    device = loop.run_until_complete(asked_device())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(device.device, "run", _forget)
        yield device
    loop.run_until_complete(device.device.close())


def _forget(work: Coroutine[None, None, None]) -> None:
    """Restarts and resets, which come later, would change the state under another operation."""
    work.close()


def operations() -> list[Any]:
    found = []
    for prefix in PREFIXES:
        described = contract(prefix).operations
        own = [each for each in described if prefix != "tmd" or SERVICES[prefix].namespace in each]
        found += [pytest.param(prefix, each, id=f"{prefix}:{etree.QName(each).localname}") for each in own]
    return found


@pytest.mark.parametrize(("prefix", "request_name"), operations())
def test_an_operation_survives_anything(
    prefix: str,
    request_name: str,
    device: AskedDevice,
    loop: asyncio.AbstractEventLoop,
    caplog: pytest.LogCaptureFixture,
) -> None:
    contract(prefix).read()

    @settings(max_examples=12, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(requests(contract(prefix), request_name))
    def survives(request: etree._Element) -> None:
        before = serialize(device.state)
        answer = loop.run_until_complete(device.device.answer(envelope(request), device.delivery))
        body = etree.fromstring(answer.body).find(f"{_ENV}Body")
        assert body is not None
        schema = contract(prefix).schema
        if answer.status == 200:
            assert schema.validate(body[0]), schema.error_log
        else:
            assert body[0].tag == f"{_ENV}Fault"
            assert answer.status in (400, 500)
            if b"ter:InvalidArg" in answer.body:
                assert serialize(device.state) == before  # what is refused changes nothing
        assert parse(serialize(device.state)) == device.state  # it can be kept and read again

    with caplog.at_level(logging.ERROR):
        survives()
    assert not [record for record in caplog.records if record.exc_info]


@settings(max_examples=200, deadline=None, database=None, suppress_health_check=list(HealthCheck))
@given(data=st.one_of(st.binary(max_size=300), st.text(max_size=300).map(lambda text: text.encode("utf-8", "replace"))))
def test_bytes_that_are_no_message_are_answered(
    device: AskedDevice, loop: asyncio.AbstractEventLoop, data: bytes
) -> None:
    answer = loop.run_until_complete(device.device.answer(data, delivered()))
    assert answer.status in (400, 500)
    assert etree.fromstring(answer.body) is not None


def test_every_prefix_of_a_message_is_answered(device: AskedDevice, loop: asyncio.AbstractEventLoop) -> None:
    whole = envelope(contract("tds").rendered(f"{{{SERVICES['tds'].namespace}}}GetHostname", {}))
    for size in range(len(whole)):
        answer = loop.run_until_complete(device.device.answer(whole[:size], delivered()))
        assert answer.status == 400
