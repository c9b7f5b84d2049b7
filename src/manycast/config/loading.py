"""Files in, settings out, or every mistake in them at once."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from manycast.config.assembly import Report, assemble, combine
from manycast.config.checks import MISTAKES, WARNINGS
from manycast.config.dialects import Dialect, recognise
from manycast.config.free_ports import with_free_ports
from manycast.config.node import MAX_FILE_BYTES, Node
from manycast.config.onvif_devices import completed
from manycast.config.problems import ConfigurationError, Problem, in_order
from manycast.config.schema.onvif.device import OnvifDevice, OnvifSettings
from manycast.config.schema.settings import Settings
from manycast.config.services import idle_features, without_idle_features
from manycast.config.subject import Step, Subject, said_at
from manycast.config.validation import build
from manycast.config.written import Branch

_DEVICE_PATHS = ("cert_file", "key_file", "runtime_file")

# What may stand before the first character of a file, in any of its encodings.
_BEFORE_CONTENT = b" \t\r\n\x00\xff\xfe\xef\xbb\xbf"

# Whose defaults hold where files of several dialects are given: those of the one with a block per protocol.
_PRECEDENCE = (Dialect.MEDIA, Dialect.YAML, Dialect.RTSP, Dialect.ONVIF)


@dataclass(frozen=True, slots=True)
class LoadedConfiguration:
    """Settings, and where they come from."""

    settings: Settings
    warnings: tuple[Problem, ...]
    files: tuple[Path, ...]
    _subject: Subject = field(repr=False)

    def origin(self, *path: Step) -> str:
        """Who sets a field: `mediaserver.cfg line 23, <rtsp><serverport>`, or `built-in default`.

        The path is that of the model: ("rtsp", "serverport"), ("applications", 0, "name").
        """
        node = self._subject.node(*path)
        return f"{node.place}, {node.label}" if node.written else "built-in default"

    def file_of(self, *path: Step) -> Path | None:
        """The file that says something about a field or a group."""
        return self._subject.node(*path).file

    def written(self, *path: Step) -> bool:
        """Whether a file says something about a field, or about something in a group."""
        return self._subject.written(*path)


def load(paths: Sequence[Path]) -> LoadedConfiguration:
    """Read configuration files, one of each dialect at most; without any, the built-in defaults.

    Raises: ConfigurationError with every mistake of every file.
    """
    report = Report()
    roots = _read_all(paths, report)
    branches = [assemble(roots[dialect], dialect, report) for dialect in _PRECEDENCE if dialect in roots]
    root = branches[0] if branches else Branch(Settings, Node(name="", path=""))
    for branch in branches[1:]:
        combine(root, branch, report)
    settings, root = build(root, report)
    settings = settings.model_copy(update={"onvif": completed(settings.onvif)})
    subject = with_free_ports(Subject(settings, root))
    for check in MISTAKES:
        report.mistakes += check(subject)
    if report.mistakes:
        raise ConfigurationError(report.mistakes, report.warnings)
    for check in (*WARNINGS, idle_features):
        report.warnings += check(subject)
    return _loaded(Subject(_anchored(without_idle_features(subject), subject, paths), root), report, paths)


def _loaded(subject: Subject, report: Report, paths: Sequence[Path]) -> LoadedConfiguration:
    warnings = in_order(report.warnings)
    return LoadedConfiguration(subject.settings, warnings, tuple(paths), subject)


def _read_all(paths: Sequence[Path], report: Report) -> dict[Dialect, Node]:
    roots: dict[Dialect, Node] = {}
    for path in paths:
        try:
            root = _read(path)
        except ConfigurationError as error:
            report.mistakes += error.problems
            continue
        dialect = recognise(root)
        if dialect in roots:
            message = f"is in the {dialect.value}, as {roots[dialect].file} is; one file of each is allowed"
            report.mistakes.append(Problem(path, None, "", None, message))
        roots.setdefault(dialect, root)
    return roots


def _read(path: Path) -> Node:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise _unreadable(path, f"cannot be read: {error.strerror}") from None
    except ValueError:  # a NUL in the path
        raise _unreadable(path, "cannot be read: not a file's name") from None
    if len(data) > MAX_FILE_BYTES:
        raise _unreadable(path, f"is larger than {MAX_FILE_BYTES} bytes")
    content = data.lstrip(_BEFORE_CONTENT)
    if not content:
        raise _unreadable(path, "is empty")
    if content.startswith(b"<"):
        from manycast.config.xml_reader import read_xml  # with lxml

        return read_xml(path, data)
    from manycast.config.yaml_reader import read_yaml

    return read_yaml(path, data)


def _unreadable(path: Path, message: str) -> ConfigurationError:
    return ConfigurationError([Problem(path, None, "", None, message)])


def _anchored(settings: Settings, subject: Subject, paths: Sequence[Path]) -> Settings:
    """Make paths absolute: from the folder of the file that says them, defaults from the first file's."""
    home = paths[0].parent if paths else Path()

    def anchored(value: Path, *path: Step) -> Path:
        file = subject.node(*path).file
        return ((home if file is None else file.parent) / value).absolute()

    cert_file = anchored(settings.https.cert_file, "https", "cert_file")
    key_file = anchored(settings.https.key_file, "https", "key_file")
    https = settings.https.model_copy(update={"cert_file": cert_file, "key_file": key_file})
    media_folder = anchored(settings.media_folder, "media_folder")
    backchannel = settings.backchannel
    if backchannel is not None and backchannel.record is not None:
        record = anchored(backchannel.record, "backchannel", "record")
        backchannel = backchannel.model_copy(update={"record": record})
    onvif = _anchored_onvif(settings.onvif, subject, anchored)
    changes = {"https": https, "media_folder": media_folder, "backchannel": backchannel, "onvif": onvif}
    return settings.model_copy(update=changes)


def _anchored_onvif(onvif: OnvifSettings, subject: Subject, anchored: Callable[..., Path]) -> OnvifSettings:
    """Each path from where it is said, else from where anything of ONVIF is said.

    As a service, the folder of the configuration cannot be written to: what is kept goes where systemd wants it.
    """
    state_folder = os.environ.get("STATE_DIRECTORY")

    def changed(device: OnvifDevice, index: int | None) -> dict[str, Path]:
        places = {name: said_at(subject, index, name) for name in _DEVICE_PATHS}
        at = {name: place if subject.written(*place) else ("onvif",) for name, place in places.items()}
        paths = {name: anchored(getattr(device, name), *at[name]) for name in _DEVICE_PATHS}
        said = places["runtime_file"][-1] == "runtime_file" and subject.written(*places["runtime_file"])
        if state_folder and not said and not subject.written("onvif", "runtime_file"):
            paths["runtime_file"] = Path(state_folder) / device.runtime_file
        return paths

    devices = tuple(device.model_copy(update=changed(device, index)) for index, device in enumerate(onvif.devices))
    return onvif.model_copy(update={**changed(onvif, None), "devices": devices})
