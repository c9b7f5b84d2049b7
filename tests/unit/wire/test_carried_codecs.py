"""What a form is said to carry, so that nothing is converted for it, is what its muxer takes."""

from __future__ import annotations

from collections.abc import Callable, Collection

import pytest

from manycast.media.track import (
    AacParameters,
    AudioParameters,
    Av1Parameters,
    Codec,
    CodecParameters,
    FlacParameters,
    H264Parameters,
    H265Parameters,
    PlainParameters,
    Track,
)
from manycast.wire.flv.mux import ENHANCED_CODECS, PLAIN_CODECS, FlvMuxer
from manycast.wire.fmp4 import sample_entry
from manycast.wire.fmp4.mux import Fmp4Muxer
from manycast.wire.hls import packaging
from manycast.wire.hls.segmenter import Segmenter
from manycast.wire.mpegts import mux
from manycast.wire.mpegts.mux import TsMuxer

PARAMETERS: dict[Codec, CodecParameters] = {
    Codec.H264: H264Parameters(),
    Codec.H265: H265Parameters(),
    Codec.AV1: Av1Parameters(),
    Codec.AAC: AacParameters(config=b"\x11\x90", sample_rate_hz=48_000, channels=2),
    Codec.FLAC: FlacParameters(
        streaminfo=bytes.fromhex("100010000000000000000bb802f0") + bytes(20), sample_rate_hz=48_000, channels=2
    ),
}
FORMS: dict[str, tuple[Callable[[list[Track]], bool], Collection[Codec]]] = {
    "FLV": (lambda tracks: FlvMuxer(tracks).usable, ENHANCED_CODECS),
    "MP4": (lambda tracks: Fmp4Muxer(tracks).usable, sample_entry.CARRIED),
    "MPEG-TS": (lambda tracks: TsMuxer(tracks).usable, mux.CARRIED),
}


def track_of(codec: Codec) -> Track:
    audio = AudioParameters(sample_rate_hz=48_000, channels=2)
    plain = PlainParameters() if codec.kind.value == "video" else audio
    return Track(codec=codec, clock_rate_hz=90_000, parameters=PARAMETERS.get(codec, plain))


@pytest.mark.parametrize("form", FORMS)
def test_a_form_takes_what_it_is_said_to_carry_and_nothing_else(form: str) -> None:
    usable, carried = FORMS[form]
    assert {codec for codec in Codec if usable([track_of(codec)])} == set(carried)


def test_what_all_players_know_is_part_of_what_can_be_carried() -> None:
    assert PLAIN_CODECS < ENHANCED_CODECS
    assert all(Segmenter.can_carry([track_of(codec)]) for codec in packaging.CARRIED)
