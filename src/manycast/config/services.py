"""Features that need a server: off when it is off."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from manycast.config.problems import Problem
from manycast.config.schema.settings import Settings
from manycast.config.subject import Subject


@dataclass(frozen=True, slots=True)
class _Feature:
    name: str
    block: str
    field: str
    servers: tuple[str, ...]  # any one of them is enough


_FEATURES = (
    _Feature("RTSP over HTTP", "rtsp", "rtsp_over_http", ("http",)),
    _Feature("RTSP over HTTPS", "rtsp", "rtsp_over_https", ("https",)),
    _Feature("RTSP over HTTP", "rtsp", "rtsp_over_http", ("rtsp", "rtsps")),
    _Feature("RTSP over HTTPS", "rtsp", "rtsp_over_https", ("rtsp", "rtsps")),
    _Feature("HTTP-FLV", "http_flv", "enable", ("http", "https")),
    _Feature("MP4 by HTTP", "http_mp4", "enable", ("http", "https")),
    _Feature("HLS", "hls", "enable", ("http", "https")),
)


def without_idle_features(subject: Subject) -> Settings:
    """The settings with every feature off whose server is off."""
    settings = subject.settings
    for feature in _idle(subject.settings):
        block = getattr(settings, feature.block).model_copy(update={feature.field: False})
        settings = settings.model_copy(update={feature.block: block})
    return settings


def idle_features(subject: Subject) -> Iterator[Problem]:
    """A warning for each of them that a file switches on."""
    for feature in _idle(subject.settings):
        path = (feature.block, feature.field)
        if subject.written(*path):
            nodes = [subject.node(server, "enable") for server in feature.servers]
            off = " and ".join(f"{node.label} is 0 ({node.place})" for node in nodes)
            yield subject.problem(path, f"but {off}: {feature.name} stays off", subject.value(*path))


def _idle(settings: Settings) -> Iterator[_Feature]:
    for feature in _FEATURES:
        on = getattr(getattr(settings, feature.block), feature.field)
        if on and not any(getattr(settings, server).enable for server in feature.servers):
            yield feature
