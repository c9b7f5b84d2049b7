"""Values that are allowed but will not do what they say."""

from __future__ import annotations

from collections.abc import Iterator

from manycast.config.problems import Problem
from manycast.config.schema.output import Output
from manycast.config.schema.values import AudioCodec
from manycast.config.subject import Step, Subject

_G726_BIT_RATES = (0, 16, 24, 32, 40)


def curious_values(subject: Subject) -> Iterator[Problem]:
    for path, output in _outputs(subject):
        audio = output.audio
        if audio is not None and audio.codec is AudioCodec.G726 and audio.bitrate not in _G726_BIT_RATES:
            where = (*path, "audio", "bitrate")
            yield subject.problem(where, "G726 knows 16, 24, 32 and 40 kb/s; 32 is taken", str(audio.bitrate))
    yield from _empty_pushers(subject)


def impossible_values(subject: Subject) -> Iterator[Problem]:
    for path, output in _outputs(subject):
        audio = output.audio
        if audio is not None and audio.codec is AudioCodec.G726 and audio.channels > 1:
            yield subject.problem(
                (*path, "audio", "channels"), "G726 is always mono: allowed: 0, 1", str(audio.channels)
            )


def _empty_pushers(subject: Subject) -> Iterator[Problem]:
    for index, application in enumerate(subject.settings.applications):
        for number, pusher in enumerate(application.pushers):
            if pusher.raw and pusher.video is None and pusher.audio is None:
                path = ("applications", index, "pushers", number)
                yield subject.problem(
                    path, f"takes nothing: neither video nor audio is said for mode {pusher.transfer.mode}"
                )


def _outputs(subject: Subject) -> Iterator[tuple[tuple[Step, ...], Output]]:
    for index, application in enumerate(subject.settings.applications):
        above = ("applications", index)
        for number, output in enumerate(application.outputs):
            yield (*above, "outputs", number), output
        for kind in ("proxies", "pushers"):
            for number, stream in enumerate(getattr(application, kind)):
                if stream.output is not None:
                    yield (*above, kind, number, "output"), stream.output
