"""The reference of the configuration, written from the schema."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from enum import Enum
from pathlib import Path
from typing import Any

from manycast.config.dialects import (
    DEFAULT_APPLICATION_NAME,
    DEFAULTS,
    MEDIA_ONLY,
    Dialect,
    path_in,
    specs_along,
)
from manycast.config.node import MAX_FILE_BYTES
from manycast.config.schema.base import Group
from manycast.config.schema.fields import FieldSpec, field_of, fields_of
from manycast.config.schema.onvif.device import OnvifDevice, OnvifSettings
from manycast.config.schema.settings import Settings

_INTRODUCTION = f"""\
# Configuration

Written from the schema by `script/generate-reference`; do not edit.

Without any file, Manycast runs as an ordinary user may run it: on the ports of the column "default" below,
with paths at the root of every address, and with the current folder for media files. Files are named with
`-c FILE`, one of each dialect at most. `manycast check FILE` says what is wrong with a file, and shows the
configuration as understood, without starting anything.

## Dialects

A file's dialect is told by its content, not by its name.

| dialect | told by | shape |
|---|---|---|
| media server | `<application>` or a protocol's block under `<config>` | a block for each protocol |
| RTSP server | `<serverport>`, or another of its nodes, right under `<config>` | flat; paths at the root |
| ONVIF | `<server_ip>`, `<information>`, `<profile>`, `<device>` | what belongs to the ONVIF device; flat |
| YAML | a first character other than `<` | as the media server dialect |

The nodes of the ONVIF dialect are those of the group `onvif` of the media server dialect and of YAML.

Every node of one streaming dialect is accepted in the other, at the place that dialect has for it. A
`<pusher>` right under `<config>` belongs to the first application, and a `<backchannel>` in an application
counts as one under `<config>`. Where files of several dialects are given, repeatable nodes add up, a value
in both must be the same, and the defaults are those of the media server dialect, else of YAML. In the RTSP
dialect the HTTP and HTTPS servers are there for its tunnels: they listen on the same addresses, and are on
when `rtsp_over_http` and `rtsp_over_https` are; RTMP, SRT, HTTP-FLV and HLS are off.

## Values

- A node that is missing or empty has the default. XML files have the defaults of their dialect where the
  tables name one; YAML has the built-in ones.
- A switch is 0 or 1; in YAML also true or false.
- Words such as codecs may be in upper or lower case.
- An address is IPv4, IPv6 (with or without brackets) or a host name.
- A relative path counts from the folder of the file it is written in.
- In XML, white space around a value is dropped. In YAML, a value with special characters wants quotes.
- In YAML, a node given several times is a list, named in the singular or in the plural: `users`,
  `applications`, `outputs`, `proxies`, `pushers`, `devices`, `profiles`,
  `scopes`. An empty value (null) is as good as none; a group that counts by being there, such as `backchannel`, is
  written `{{}}`.

## Mistakes and warnings

All mistakes of all files are reported at once, with file, line, node, what was found and what is allowed,
and nothing is started. Mistakes are:

- a file that is malformed or empty, has an XML document type, or is larger than
  {MAX_FILE_BYTES // 1024 // 1024} MiB;
- a value that is not allowed, or a value where nodes are expected;
- a node given twice that may stand once;
- two servers or raw pushers on one port;
- two applications of one name, or two users of one name with different passwords;
- two ONVIF devices of one serial number, hardware address or file, or two users of one name in one of them.

Warnings keep nothing from starting. There is one for:

- an unknown node, with the right name or place where there is one, and an attribute;
- a feature whose server is off; it stays off;
- two streams of one address; the first has it;
- a login that is asked for without any user; everyone is refused;
- the login `admin` with password `admin` beyond this machine;
- more than ten ONVIF profiles, which some clients cannot cope with, and profiles with parts that are not used.

A port that no file names gives way: ONVIF's to those of the other servers, and that of HTTPS to ONVIF's.

## Nodes

Those marked with ＋ are Manycast's own.
"""


_ONVIF = """\
## Nodes of the ONVIF dialect

In the other dialects they stand in the group `onvif`. There is an ONVIF device unless `enable` is 0, with or without a
file. What its clients change is kept in `runtime_file`, which is used instead of what stands here from the next start
on; to make a changed file effective, stop the server, delete the runtime file, and start the server, in that order.
"""


def render_reference() -> str:
    """The whole document, as Markdown."""
    return "\n".join([_INTRODUCTION, *_Tables().sections()])


class _Tables:
    """One table for each group; a group that occurs again is shown once."""

    def __init__(self) -> None:
        self._shown: dict[type[Group], str] = {}

    def sections(self) -> Iterator[str]:
        leaves = [spec for spec in fields_of(Settings) if spec.group is None]
        yield from self._table("### Directly under `<config>`", "", leaves, ())
        self._shown |= {OnvifSettings: "", OnvifDevice: "<config>"}
        yield from self._groups(Settings, ())
        yield _ONVIF
        title = "### Directly under `<config>`, for ONVIF"
        yield from self._table(title, field_of(Settings, "onvif").description, fields_of(OnvifSettings), ("onvif",))
        yield from self._groups(OnvifSettings, ("onvif",))

    def _groups(self, model: type[Group], above: tuple[str, ...]) -> Iterator[str]:
        for spec in fields_of(model):
            if spec.group is not None and spec.group not in self._shown:
                yield from self._group(spec, spec.group, (*above, spec.field))

    def _group(self, spec: FieldSpec, group: type[Group], path: tuple[str, ...]) -> Iterator[str]:
        shown = path[1:] if path[0] == "onvif" else path
        title = "".join(f"<{step.node}>" for step in tuple(specs_along(path))[-len(shown) :])
        self._shown[group] = title
        yield from self._table(f"### `{title}`{_mark(spec)}", spec.description, fields_of(group), path)
        yield from self._groups(group, path)

    def _table(self, title: str, text: str, specs: Iterable[FieldSpec], above: tuple[str, ...]) -> Iterator[str]:
        columns = ["node", "in the RTSP dialect", "allowed", "default", ""]
        rows = [self._row(spec, (*above, spec.field)) for spec in specs]
        if len(above) > 1 or "onvif" in above:  # inside an output, a proxy or a pusher the dialects are the same
            for cells in (columns, *rows):
                del cells[1]
        yield from (title, "")
        if text:
            yield from (text, "")
        if not rows:
            return
        yield _line(columns)
        yield "|---" * len(columns) + "|"
        yield from map(_line, rows)
        yield ""

    def _row(self, spec: FieldSpec, path: tuple[str, ...]) -> list[str]:
        return [
            f"`{spec.node}`{_mark(spec)}",
            _in_rtsp_dialect(path),
            self._allowed(spec),
            _defaults(spec, path),
            spec.description,
        ]

    def _allowed(self, spec: FieldSpec) -> str:
        if spec.group is not None:
            known = self._shown.get(spec.group)
            return f"as `{known}`" if known else "nodes, see below"
        assert spec.rule is not None
        return spec.rule.allowed


def _line(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _mark(spec: FieldSpec) -> str:
    return " ＋" if spec.ours else ""


def _in_rtsp_dialect(path: tuple[str, ...]) -> str:
    """The node's place there."""
    flat = path_in(Dialect.RTSP, path).split("/")
    if len(flat) == 2:
        return f"`<config><{flat[1]}>`"
    return "–" if flat[1] in MEDIA_ONLY else "the same"


def _defaults(spec: FieldSpec, path: tuple[str, ...]) -> str:
    if spec.group is not None or spec.required:
        return ""
    built_in = _shown(spec.default)
    if path[0] == "onvif":
        dialect = DEFAULTS[Dialect.ONVIF].get(path)
        return built_in + (f" (ONVIF dialect `{dialect}`)" if dialect is not None else "")
    media, flat = (DEFAULTS[dialect].get(path) for dialect in (Dialect.MEDIA, Dialect.RTSP))
    if path == ("applications", "name"):
        media = DEFAULT_APPLICATION_NAME
    others = [f"{name} `{text}`" for name, text in (("media", media), ("RTSP", flat)) if text is not None]
    if media is not None and media == flat:
        others = [f"XML `{media}`"]
    return built_in + (f" ({', '.join(others)})" if others else "")


def _shown(value: Any) -> str:
    match value:
        case None | () | "":
            return ""
        case bool():
            return f"`{int(value)}`"
        case Enum():
            return f"`{value.value}`"
        case Path() if value == Path():
            return ""
        case _:
            return f"`{value}`"
