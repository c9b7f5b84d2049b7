"""What can be configured but is not built yet. When a feature is built, its row goes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

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


def _has_srt_proxy(settings: Settings) -> bool:
    urls = (proxy.url for application in settings.applications for proxy in application.proxies)
    return any(url is not None and url.lower().startswith("srt:") for url in urls)


_APPLICATIONS = (("applications",),)

MISSING: tuple[Missing, ...] = (
    Missing(_has_srt_proxy, _APPLICATIONS, "proxies of SRT sources (proxy with an srt url) are not available yet"),
)
