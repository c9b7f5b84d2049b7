"""Whatever a file holds, there are settings, or there is a ConfigurationError."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from xml.sax.saxutils import escape

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from manycast.config import ConfigurationError, LoadedConfiguration, describe, load
from manycast.config.dialects import FLAT, MEDIA_ONLY, ONVIF_ONLY
from manycast.config.schema.fields import every_field
from manycast.config.schema.settings import Settings

_NAMES = sorted({spec.node for way in every_field(Settings) for spec in way} | {*FLAT, *MEDIA_ONLY, *ONVIF_ONLY, "a"})
_LIKELY = ["", "0", "1", "-1", "554", "99999999999", "H264", "TCP", "UDP", "rtsp://h/x", "::1"]
_ANY = st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Cc")), max_size=5)
_TEXTS = st.sampled_from(_LIKELY) | _ANY
_QUICK = settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large], deadline=None)


def _load(*documents: bytes) -> LoadedConfiguration | ConfigurationError:
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / str(index) for index in range(len(documents))]
        for path, document in zip(paths, documents, strict=True):
            path.write_bytes(document)
        try:
            return load(paths)
        except ConfigurationError as error:
            return error


def _xml(name: str, children: list[str] | str) -> str:
    inner = escape(children) if isinstance(children, str) else "".join(children)
    return f"<{name}>{inner}</{name}>"


_TREES = st.recursive(
    st.builds(_xml, st.sampled_from(_NAMES), _TEXTS),
    lambda inner: st.builds(_xml, st.sampled_from(_NAMES), st.lists(inner, max_size=6)),
    max_leaves=30,
)
_XML = st.lists(_TREES, max_size=10).map(lambda trees: _xml("config", trees).encode())

_YAML_VALUES = st.recursive(
    _TEXTS | st.booleans() | st.none() | st.integers(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(_NAMES), inner, max_size=6),
    max_leaves=30,
)
_YAML = st.dictionaries(st.sampled_from(_NAMES), _YAML_VALUES, max_size=8).map(lambda it: json.dumps(it).encode())


@_QUICK
@given(st.binary())
@example(b"<config>\x1a")
@example(b"\xff\xfe<\x00")
@example(b"%YAML " + b"9" * 5000 + b".1\n---\n")
@example(b'"\\xg')
@example(b"? ")
@example(b"- " * 5000)
def test_any_bytes(data: bytes) -> None:
    _load(data)


@_QUICK
@given(st.text("<>/=&!?[]{}:-*#|%@,'\" \n\tabconfig01\\~", max_size=60))
def test_any_text_of_the_characters_with_a_meaning(text: str) -> None:
    _load(text.encode())
    _load(b"<config>" + text.encode() + b"</config>")


@_QUICK
@given(st.lists(_XML | _YAML, min_size=1, max_size=3))
def test_any_tree_of_known_names(documents: list[bytes]) -> None:
    match _load(*documents):
        case LoadedConfiguration() as loaded:
            assert describe(loaded.settings)
            assert all(map(str, loaded.warnings))
        case ConfigurationError() as error:
            assert error.problems
            assert all(problem.file is not None for problem in error.problems)


@_QUICK
@given(_XML)
def test_a_mistake_is_in_a_line_that_is_there(document: bytes) -> None:
    lines = document.replace(b"><", b">\n<").decode()
    loaded = _load(lines.encode())
    problems = loaded.problems if isinstance(loaded, ConfigurationError) else loaded.warnings
    for problem in problems:
        if problem.line is not None:
            assert f"<{problem.node.split('/')[-1]}>" in lines.split("\n")[problem.line - 1]
