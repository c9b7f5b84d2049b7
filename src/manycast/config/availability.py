"""What can be configured but is not built yet. When a feature is built, its row goes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from manycast.config.schema.output import Output
from manycast.config.schema.settings import Settings
from manycast.config.subject import Step, Subject


@dataclass(frozen=True, slots=True)
class Missing:
    """A feature that is not there.

    `asked` says whether the settings use it. It counts only when a file says something about one of `paths`:
    nobody should hear about what is only a default.
    """

    asked: Callable[[Settings], bool]
    paths: tuple[tuple[Step, ...], ...]
    sentence: str


def unavailable(subject: Subject) -> tuple[str, ...]:
    """The sentences for what a file switches on in vain."""
    return tuple(
        row.sentence
        for row in MISSING
        if row.asked(subject.settings) and any(subject.written(*path) for path in row.paths)
    )


def _outputs(settings: Settings) -> Iterator[Output]:
    """Those of proxies and pushers."""
    for application in settings.applications:
        yield from (proxy.output for proxy in application.proxies if proxy.output is not None and proxy.url is not None)
        yield from (pusher.output for pusher in application.pushers if pusher.output is not None)


def _transcodes(settings: Settings) -> bool:
    return any(
        part is not None and part.codec is not None for out in _outputs(settings) for part in (out.video, out.audio)
    )


def _has_srt_proxy(settings: Settings) -> bool:
    urls = (proxy.url for application in settings.applications for proxy in application.proxies)
    return any(url is not None and url.lower().startswith("srt:") for url in urls)


_APPLICATIONS = (("applications",),)

MISSING: tuple[Missing, ...] = (
    Missing(
        _transcodes,
        _APPLICATIONS,
        "transcoding in proxies and pushers (their output) is not available yet; the original is sent",
    ),
    Missing(_has_srt_proxy, _APPLICATIONS, "proxies of SRT sources (proxy with an srt url) are not available yet"),
)
