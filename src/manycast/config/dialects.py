"""The dialects of configuration files: how they are told apart, and how each gets the shape of the schema.

The media dialect has the schema's own shape, and so has YAML. The RTSP dialect is flat: what belongs to the
RTSP server, and to the one application without a name, stands directly under the root. In the ONVIF dialect
the same is so with what belongs to the ONVIF device.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from enum import Enum

from manycast.config.node import Node
from manycast.config.schema.application import Application
from manycast.config.schema.base import Group
from manycast.config.schema.fields import FieldSpec, field_of, fields_of
from manycast.config.schema.onvif.device import OnvifSettings
from manycast.config.schema.rtsp import RtspSettings
from manycast.config.schema.settings import Settings

FieldPath = tuple[str, ...]


class Dialect(Enum):
    """A kind of file; the value is its name in messages."""

    MEDIA = "media server dialect"
    RTSP = "RTSP server dialect"
    YAML = "YAML form"
    ONVIF = "ONVIF dialect"


MEDIA_ONLY = frozenset({"http", "https", "rtsp", "rtmp", "srt", "http-flv", "http-mp4", "hls", "application", "onvif"})

ONVIF_USERS_ONLY = "userlevel"  # of all users, only those of an ONVIF device have levels

# Nodes of the RTSP dialect that stand elsewhere in the schema, and where.
FLAT: Mapping[str, FieldPath] = {
    **{spec.node: ("rtsp", spec.field) for spec in fields_of(RtspSettings) if spec.field != "enable"},
    **{spec.node: ("applications", spec.field) for spec in fields_of(Application) if spec.field != "name"},
    "http_port": ("http", "serverport"),
    "https_port": ("https", "serverport"),
    "cert_file": ("https", "cert_file"),
    "key_file": ("https", "key_file"),
}

_COMMON = frozenset({*FLAT, *(spec.node for spec in fields_of(Settings)), "name", "enable"})
ONVIF_ONLY = frozenset(spec.node for spec in fields_of(OnvifSettings)) - _COMMON

# In the RTSP dialect the HTTP servers are there for the tunnels only, and go by what these nodes say.
_ALSO: Sequence[tuple[str, FieldPath]] = (
    ("rtsp_over_http", ("http", "enable")),
    ("rtsp_over_https", ("https", "enable")),
    ("serverip", ("http", "serverip")),
    ("serverip", ("https", "serverip")),
)

# What a node that is missing or empty means, where it is not what it means without any file.
DEFAULTS: Mapping[Dialect, Mapping[FieldPath, str]] = {
    Dialect.MEDIA: {
        ("log_level",): "1",
        ("http", "serverport"): "80",
        ("https", "serverport"): "443",
        ("rtsp", "serverport"): "554",
        ("rtsp", "metadata"): "1",
        ("rtsps", "serverport"): "322",
        ("srt", "serverport"): "8080",
    },
    Dialect.RTSP: {
        ("log_level",): "1",
        ("rtsp", "serverport"): "554",
        ("rtsp", "metadata"): "1",
        ("rtsps", "serverport"): "322",
        ("http", "serverport"): "8080",
        ("https", "serverport"): "443",
        ("rtmp", "enable"): "0",
        ("srt", "enable"): "0",
        ("http_flv", "enable"): "0",
        ("http_mp4", "enable"): "0",
        ("hls", "enable"): "0",
    },
    Dialect.YAML: {},
    Dialect.ONVIF: {("onvif", "https_port"): "8443"},
}

# An application of the media dialect without a name.
DEFAULT_APPLICATION_NAME = "myapp"


def recognise(root: Node) -> Dialect:
    """Tell a file's dialect by the nodes directly under its root. What says nothing is the media dialect."""
    names = {node.name for node in root.nodes}
    if root.name == "":
        return Dialect.YAML
    if names & MEDIA_ONLY:
        return Dialect.MEDIA
    if "serverport" in names:
        return Dialect.RTSP
    users = (node for node in root.nodes if node.name == "user")
    if names & ONVIF_ONLY or any(node.name == ONVIF_USERS_ONLY for user in users for node in user.nodes):
        return Dialect.ONVIF
    if names & (FLAT.keys() - {"pusher"}):
        return Dialect.RTSP
    return Dialect.MEDIA


def reshape(root: Node, dialect: Dialect) -> Node:
    """The same nodes in the shape of the schema. Each keeps the path it has in its file."""
    root = _attributes_as_nodes(root)
    if dialect is Dialect.ONVIF:
        return replace(root, nodes=(root.renamed("onvif"),), text="")
    return _from_flat(root) if dialect is Dialect.RTSP else _at_home(root)


def path_in(dialect: Dialect, path: FieldPath) -> str:
    """Where a field's node stands in a file of the dialect, whether written or not."""
    if dialect is Dialect.YAML:
        return ".".join(path)
    if dialect is Dialect.ONVIF and path[0] == "onvif":
        return "/".join(["config", *_node_names(path)[1:]])
    if dialect is Dialect.RTSP:
        flat = _FLAT_NAMES.get(path[:2])
        if flat is not None:
            return "/".join(["config", flat, *_node_names(path)[2:]])
    return "/".join(["config", *_node_names(path)])


def specs_along(path: Iterable[str]) -> Iterable[FieldSpec]:
    """The fields passed on the way to a field."""
    model: type[Group] | None = Settings
    for name in path:
        assert model is not None
        spec = field_of(model, name)
        model = spec.group
        yield spec


_FLAT_NAMES = {path: name for name, path in (*_ALSO, *FLAT.items())}


def _node_names(path: FieldPath) -> list[str]:
    return [spec.node for spec in specs_along(path)]


def _attributes_as_nodes(node: Node) -> Node:
    """`<stream_uri append_params="1">`, the one attribute there is, as a node beside it."""
    nodes: list[Node] = []
    for child in map(_attributes_as_nodes, node.nodes):
        if child.name == "stream_uri":
            said = [(name, value) for name, value in child.attributes if name == "append_params"]
            child = replace(child, attributes=tuple(pair for pair in child.attributes if pair not in said))
            path = f"{child.path}@append_params"
            nodes += [
                Node(name="append_params", path=path, file=child.file, line=child.line, text=value) for _, value in said
            ]
        nodes.append(child)
    return replace(node, nodes=tuple(nodes))


def _from_flat(root: Node) -> Node:
    kept: list[Node] = []
    moved: dict[str, list[Node]] = {}
    for node in root.nodes:
        targets = [path for name, path in (*FLAT.items(), *_ALSO) if name == node.name]
        for group, name in targets:
            spec = field_of(_group(group), name)
            moved.setdefault(group, []).append(node.renamed(spec.node))
        if not targets:
            kept.append(node)
    groups = [
        Node(name=field_of(Settings, group).node, path=root.path, file=root.file, line=root.line, nodes=tuple(nodes))
        for group, nodes in moved.items()
    ]
    return replace(root, nodes=(*kept, *groups))


def _group(name: str) -> type[Group]:
    group = field_of(Settings, name).group
    assert group is not None
    return group


def _at_home(root: Node) -> Node:
    """A pusher under the root goes to the first application, a back channel in an application to the root."""
    pushers = [node for node in root.nodes if node.name in ("pusher", "pushers")]
    applications = [node for node in root.nodes if node.name in ("application", "applications") and not node.null]
    if pushers and not applications:
        applications = [Node(name="application", path=root.path, file=root.file, line=root.line)]
    if pushers:
        applications[0] = replace(applications[0], nodes=(*applications[0].nodes, *pushers))
    backchannels = [node for application in applications for node in application.nodes if node.name == "backchannel"]
    others = [node for node in root.nodes if node.name not in _MOVED_HOME]
    return replace(root, nodes=(*others, *map(_without_backchannel, applications), *backchannels))


_MOVED_HOME = frozenset({"pusher", "pushers", "application", "applications"})


def _without_backchannel(application: Node) -> Node:
    return replace(application, nodes=tuple(node for node in application.nodes if node.name != "backchannel"))
