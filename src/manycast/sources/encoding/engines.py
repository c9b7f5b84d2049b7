"""Encoders and decoders of graphics hardware: which are tried, and which of them do not work here."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum

from manycast.media.track import Codec

log = logging.getLogger(__name__)


class Hardware(Enum):
    NVIDIA = "NVIDIA"
    QSV = "QSV"
    VAAPI = "VAAPI"


@dataclass(frozen=True, slots=True, kw_only=True)
class HardwareCodec:
    """An encoder or decoder by FFmpeg's name."""

    name: str
    device: str | None = None  # FFmpeg's kind of device to go with it; None: it finds its own
    pixel_format: str = "nv12"  # of the pictures that an encoder takes
    options: Mapping[str, str] = field(default_factory=dict)


# All without delay and B-frames; a picture that is asked to be intra-coded is made a keyframe.
_NVENC = {"preset": "p3", "tune": "ull", "zerolatency": "1", "delay": "0", "forced-idr": "1", "rc": "cbr"}
_QSV = {"preset": "veryfast", "async_depth": "1", "forced_idr": "1"}
_VAAPI = {"async_depth": "1"}
_ENCODERS: Mapping[tuple[Hardware, Codec], HardwareCodec] = {
    (Hardware.NVIDIA, Codec.H264): HardwareCodec(name="h264_nvenc", pixel_format="yuv420p", options=_NVENC),
    (Hardware.NVIDIA, Codec.H265): HardwareCodec(name="hevc_nvenc", pixel_format="yuv420p", options=_NVENC),
    (Hardware.QSV, Codec.H264): HardwareCodec(name="h264_qsv", options=_QSV),
    (Hardware.QSV, Codec.H265): HardwareCodec(name="hevc_qsv", options=_QSV),
    (Hardware.VAAPI, Codec.H264): HardwareCodec(name="h264_vaapi", device="vaapi", options=_VAAPI),
    (Hardware.VAAPI, Codec.H265): HardwareCodec(name="hevc_vaapi", device="vaapi", options=_VAAPI),
}
_DECODED: Mapping[Codec, str] = {
    Codec.H264: "h264",
    Codec.H265: "hevc",
    Codec.MPEG_VIDEO: "mpeg2video",
    Codec.VP9: "vp9",
    Codec.AV1: "av1",
}
_DEVICES: Mapping[Hardware, str] = {Hardware.NVIDIA: "cuda", Hardware.VAAPI: "vaapi"}


class Engines:
    """What a server encodes and decodes with. Shared by its threads.

    Without any hardware, and where none of it works, it is done by the processor.
    """

    def __init__(self, encoders: Sequence[Hardware] = (), decoders: Sequence[Hardware] = ()) -> None:
        """In the order in which they are tried."""
        self._encoders = tuple(encoders)
        self._decoders = tuple(decoders)
        self._given_up: set[tuple[str, str]] = set()

    def encoders(self, codec: Codec) -> Iterator[HardwareCodec]:
        """What is to be tried, best first."""
        for hardware in self._encoders:
            found = _ENCODERS.get((hardware, codec))
            if found is not None and ("encoder", found.name) not in self._given_up:
                yield found

    def decoders(self, codec: Codec) -> Iterator[HardwareCodec]:
        """The same of decoders."""
        name = _DECODED.get(codec)
        if name is None:
            return
        for hardware in self._decoders:
            device = _DEVICES.get(hardware)
            found = HardwareCodec(name=f"{name}_qsv" if device is None else name, device=device)
            if ("decoder", _said(found)) not in self._given_up:
                yield found

    def give_up_encoder(self, codec: HardwareCodec, error: Exception) -> None:
        """It does not work here: it is not tried again, which is said once."""
        self._give_up("encoder", codec.name, error)

    def give_up_decoder(self, codec: HardwareCodec, error: Exception) -> None:
        self._give_up("decoder", _said(codec), error)

    def _give_up(self, kind: str, name: str, error: Exception) -> None:
        if (kind, name) not in self._given_up:
            self._given_up.add((kind, name))
            log.warning("the hardware %s %s does not work here: %s; going on without it", kind, name, error)


SOFTWARE = Engines()


def _said(codec: HardwareCodec) -> str:
    return codec.name if codec.device is None else f"{codec.name} ({codec.device})"
