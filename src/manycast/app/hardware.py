"""The hardware that a configuration asks to encode and decode, as the encoders have it."""

from __future__ import annotations

from dataclasses import dataclass

from manycast.config.schema.transcode import Engine, Transcode
from manycast.sources.encoding.engines import Engines, Hardware


@dataclass(frozen=True, slots=True)
class HardwarePlan:
    """What is tried, in this order."""

    encoders: tuple[Hardware, ...] = ()
    decoders: tuple[Hardware, ...] = ()

    def engines(self) -> Engines:
        return Engines(self.encoders, self.decoders)


def hardware_plan(configured: Transcode) -> HardwarePlan:
    return HardwarePlan(_tried(configured.encoder), _tried(configured.decoder))


def _tried(engine: Engine) -> tuple[Hardware, ...]:
    match engine:
        case Engine.SOFTWARE:
            return ()
        case Engine.AUTO:
            return tuple(Hardware)
        case _:
            return (Hardware(engine.value),)
