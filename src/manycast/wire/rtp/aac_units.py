"""AAC access units out of RTP, whichever format carried them."""

from __future__ import annotations

from collections.abc import Sequence

from manycast.media.aac import AudioSpecificConfig
from manycast.media.frame import Frame
from manycast.media.track import AacParameters, Track


def unit_ticks(track: Track) -> int:
    """How long an access unit lasts on the track's clock, be that the rate of the core or the output."""
    assert isinstance(track.parameters, AacParameters)
    config = AudioSpecificConfig.parse(track.parameters.config)
    return config.core_frame_samples * track.clock_rate_hz // config.core_rate_hz


def frames_of(units: Sequence[bytes], *, track_index: int, timestamp: int, ticks: int) -> list[Frame]:
    """The frames of consecutive units, the first at `timestamp`, each `ticks` long; an empty one takes only time."""
    return [
        Frame(track_index=track_index, dts_ticks=time, pts_ticks=time, keyframe=True, units=[unit])
        for time, unit in zip(range(timestamp, timestamp + len(units) * ticks, ticks), units, strict=True)
        if unit
    ]
