"""SRT stream ids."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from manycast.wire.srt.streamid import MAX_BYTES, BadStreamId, Rejection, StreamId

GOOD = [
    (b"myapp/live", StreamId("myapp/live")),
    (b"myapp/live, m=publish", StreamId("myapp/live", publish=True)),
    (b"myapp/live,m=publish", StreamId("myapp/live", publish=True)),
    (b"myapp/live,mode=publish,", StreamId("myapp/live", publish=True)),
    (b"myapp/live,m=request", StreamId("myapp/live")),
    (b"/myapp//live/", StreamId("myapp/live")),
    (b"#!::r=myapp/live,m=publish", StreamId("myapp/live", publish=True)),
    (b"%23!::r=myapp%2Flive,m=publish", StreamId("myapp/live", publish=True)),
    (b"#!::u=admin,s=geheim=1,r=live,t=stream,x=y", StreamId("live", user="admin", password="geheim=1")),
    (b"cam,u=admin,s=geheim", StreamId("cam", user="admin", password="geheim")),
    (b"cam,clear=1", StreamId("cam", clear=True)),
    (b"app/window=user%20manual.doc%2C%20C%2B%2B,m=request", StreamId("app/window=user manual.doc, C++")),
    ("Küche/Tür 1.mp4".encode(), StreamId("Küche/Tür 1.mp4")),
]

BAD = [
    (b"", Rejection.BAD_REQUEST, "no stream id"),
    (b" / ", Rejection.BAD_REQUEST, "without a name"),
    (b"#!::m=publish", Rejection.BAD_REQUEST, "without a name"),
    (b"a/../b", Rejection.BAD_REQUEST, "leads elsewhere"),
    (b"a/..\\b", Rejection.BAD_REQUEST, "leads elsewhere"),
    (b"a\0b", Rejection.BAD_REQUEST, "control characters"),
    (b"a%00b", Rejection.BAD_REQUEST, "control characters"),
    (b"a%FFb", Rejection.BAD_REQUEST, "no UTF-8"),
    (b"a/%2e%2E/b", Rejection.BAD_REQUEST, "leads elsewhere"),
    (b"\xff", Rejection.BAD_REQUEST, "no UTF-8"),
    (b"a,publish", Rejection.BAD_REQUEST, "wanted KEY=VALUE"),
    (b"a,=publish", Rejection.BAD_REQUEST, "wanted KEY=VALUE"),
    (b"#!{{r=a}}", Rejection.BAD_REQUEST, "nested"),
    (b"a,m=bidirectional", Rejection.BAD_MODE, "neither request nor publish"),
    (b"a,t=file", Rejection.UNSUPPORTED_MEDIA, "only streams"),
    (b"x" * (MAX_BYTES + 1), Rejection.BAD_REQUEST, "513 bytes, at most 512"),
    (b"x" * 10_000, Rejection.BAD_REQUEST, "10000 bytes"),
]


@pytest.mark.parametrize(("data", "wanted"), GOOD)
def test_what_a_caller_wants(data: bytes, wanted: StreamId) -> None:
    assert StreamId.parse(data) == wanted


@pytest.mark.parametrize(("data", "rejection", "text"), BAD)
def test_what_is_refused(data: bytes, rejection: Rejection, text: str) -> None:
    with pytest.raises(BadStreamId, match=text) as refused:
        StreamId.parse(data)
    assert refused.value.rejection is rejection


def test_the_longest_one() -> None:
    assert StreamId.parse(b"x" * MAX_BYTES).name == "x" * MAX_BYTES


def test_a_password_is_not_shown() -> None:
    assert "geheim" not in repr(StreamId.parse(b"cam,u=admin,s=geheim"))


@given(st.binary(max_size=600) | st.text(alphabet="#!:{,=/.rmtus \0abc\\", max_size=40).map(str.encode))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    try:
        found = StreamId.parse(data)
    except BadStreamId:
        return
    assert found.name
    assert found.name == found.name.strip("/")
    assert not {"..", ".", ""} & set(found.name.split("/"))
    assert found.name.isprintable()


NAMES = st.text(alphabet=st.characters(categories=("L", "N")), min_size=1, max_size=20)


@given(st.lists(NAMES, min_size=1, max_size=4), st.booleans(), st.booleans(), NAMES)
def test_both_forms_say_the_same(segments: list[str], publish: bool, standard: bool, user: str) -> None:
    name = "/".join(segments)
    tail = f"m={'publish' if publish else 'request'},u={user},s=x"
    text = f"#!::r={name},{tail}" if standard else f"{name}, {tail}"
    assert StreamId.parse(text.encode()) == StreamId(name, publish, user, "x")
