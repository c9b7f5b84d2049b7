"""Reading YAML, the malformed and the hostile included."""

from pathlib import Path

import pytest
import yaml

from manycast.config import ConfigurationError, load
from manycast.config.node import MAX_DEPTH, Node
from manycast.config.yaml_reader import read_yaml

from .documents import load_text, mistakes_of

FILE = Path("a.yaml")


def _error(text: str) -> str:
    with pytest.raises(ConfigurationError) as caught:
        read_yaml(FILE, text.encode())
    (problem,) = caught.value.problems
    return str(problem)


def _plain(node: Node) -> object:
    """What `yaml.safe_load` would show, as far as nodes can tell: all values as text, lists as repeated names."""
    return [(child.name, _plain(child) if child.nodes else child.text) for child in node.nodes]


def test_nodes_keep_their_lines_and_paths() -> None:
    root = read_yaml(FILE, b"# a comment\nrtsp:\n  serverip:\n    - 10.0.0.1\n    - '::1'\n  enable: true\n")
    (rtsp,) = root.nodes
    first, second, enable = rtsp.nodes
    assert (root.name, root.path, rtsp.line) == ("", "", 2)
    assert first == Node(name="serverip", path="rtsp.serverip", file=FILE, line=4, text="10.0.0.1")
    assert (second.line, second.text) == (5, "::1")
    assert (enable.line, enable.text, enable.flag) == (6, "true", True)


@pytest.mark.parametrize(
    ("text", "nodes"),
    [
        ("a: 1\nb: x y", [("a", "1"), ("b", "x y")]),
        ("a: [1, 2]", [("a", "1"), ("a", "2")]),
        ("a: [{b: 1}, {b: 2}]", [("a", [("b", "1")]), ("a", [("b", "2")])]),
        ("a: null\nb: ~\nc:\nd: ''\ne: 'null'", [("a", ""), ("b", ""), ("c", ""), ("d", ""), ("e", "null")]),
        ("a: !!str 1\nb: !!null ''", [("a", "1"), ("b", "")]),
        ("a: &x {b: 1}\nc: *x", [("a", [("b", "1")]), ("c", [("b", "1")])]),
        ("a: &x {b: 1, c: 2}\nd: {<<: *x, c: 3}", [("a", [("b", "1"), ("c", "2")]), ("d", [("c", "3"), ("b", "1")])]),
        ("a: &x {b: 1}\nd: {<<: [*x, {b: 2, e: 3}]}", [("a", [("b", "1")]), ("d", [("b", "1"), ("e", "3")])]),
        ("1: 2\ntrue: no", [("1", "2"), ("true", "no")]),
        ("# nothing", []),
        ("---\n", []),
        ("a: []\nb: {}", [("b", "")]),
    ],
)
def test_what_is_read(text: str, nodes: object) -> None:
    assert _plain(read_yaml(FILE, text.encode())) == nodes
    yaml.safe_load(text)


MALFORMED = [
    ("a: [1", "a.yaml:1: not well-formed YAML at column 6: expected ',' or ']', but got '<stream end>'"),
    ("a: 1\n b: 2", "a.yaml:2: not well-formed YAML at column 3: mapping values are not allowed here"),
    ("a: 1\n\tb: 2", "a.yaml:2: not well-formed YAML at column 1: found character '\\t' that cannot start any token"),
    ("a: 1\n---\nb: 2", "a.yaml:3: a second document; one is allowed"),
    ("- a\n- b", "a.yaml:1: neither XML nor YAML with names and values"),
    ("hello", "a.yaml:1: neither XML nor YAML with names and values"),
    ("a: 1\n? [b]\n: 2", "a.yaml:2: a name is expected before the colon, not a list or a mapping"),
    ("a: 1\nb: 2\na: 3", "a.yaml:3: a: given twice, first in line 1"),
    ("a: {b: 1,\nb: 2}", "a.yaml:2: b: given twice, first in line 1"),
    ("a:\n - [1]", "a.yaml:2: a: a list in a list"),
    ("a: 1\nb: *hunter2", "a.yaml:2: an alias names nothing; a value that begins with * or & needs quotes"),
    ("a: !hunter2 x", "a.yaml:1: tags are not allowed; a value that begins with ! needs quotes"),
    ("a: !hun!ter2 x", "a.yaml:1: not well-formed YAML at column 4: tags are not allowed; "),
    ("a: !!python/name:os.system x", "a.yaml:1: tags are not allowed; a value that begins with ! needs quotes"),
    ("a: !!set {x}", "a.yaml:1: tags are not allowed; a value that begins with ! needs quotes"),
    ("a: &x [*x]", "a.yaml:1: a: a list in a list"),
    ("a: &x {b: *x}", f"a.yaml:1: nested deeper than {MAX_DEPTH}"),
    ("a: &x {<<: *x}", f"a.yaml:1: nested deeper than {MAX_DEPTH}"),
    ("a: {<<: 1}", "a.yaml:1: <<: names something that is no mapping"),
    ("[" * 100_000, f"a.yaml:1: nested deeper than {MAX_DEPTH}"),
    ("a: " + "{a: " * 100, f"a.yaml:1: nested deeper than {MAX_DEPTH}"),
    ('a: "\\UFFFFFFFF"', "a.yaml: not well-formed YAML: a number is out of range"),
    ("a: \x01", "a.yaml: not well-formed YAML: unacceptable character #x0001: special characters are not allowed"),
    ("%YAML 9.9\n---\na: 1", "a.yaml:1: not well-formed YAML at column 1: found incompatible YAML document"),
]


@pytest.mark.parametrize(("text", "message"), MALFORMED, ids=range(len(MALFORMED)))
def test_a_malformed_file(text: str, message: str) -> None:
    assert _error(text).startswith(message)


def test_the_depth_that_is_allowed() -> None:
    depth = MAX_DEPTH - 1
    assert read_yaml(FILE, b"{a: " * depth + b"1" + b"}" * depth).nodes
    assert _error("{a: " * MAX_DEPTH + "1" + "}" * MAX_DEPTH).endswith(f"nested deeper than {MAX_DEPTH}")


def test_text_that_is_not_utf_8() -> None:
    with pytest.raises(ConfigurationError) as caught:
        read_yaml(FILE, b"a: 1\nb: \xff")
    assert str(caught.value.problems[0]) == "a.yaml:2: neither XML nor YAML: the text is not UTF-8"


@pytest.mark.parametrize(
    "form", ["[{0}, {0}, {0}, {0}, {0}, {0}, {0}, {0}, {0}]", "{{<<: [{0}, {0}, {0}, {0}, {0}, {0}]}}"]
)
def test_aliases_that_multiply_are_stopped(form: str) -> None:
    lines = ["a0: &a0 {x: 1}"]
    for level in range(1, 12):
        inner = form.format(f"*a{level - 1}")
        lines.append(f"a{level}: &a{level} " + (f"{{y: {inner}}}" if inner.startswith("[") else inner))
    assert _error("\n".join(lines)).endswith("more than 200000 nodes")


def test_a_whole_configuration(tmp_path: Path) -> None:
    text = """
        config:
          loop_nums: -1
          log_enable: off
          http-flv: {enable: false}
          hls:
            need_auth: True
          rtsp:
            serverport: 0700
          user:
            - {username: yes, password: 123456}
            - username: 'null'
              password: " pw "
          applications:
            - name: live
              output: {url: '*.mp4', video: {codec: h265}}
              proxies:
                - {suffix: cam, url: 'rtsp://h/x', password: pw, ondemand: 1}
                - {suffix: cam2, url: 'rtsp://h/y', pass: pw}
              pusher: {}
              outputs:
          backchannel: null
        """
    loaded = load_text(tmp_path, text)
    settings = loaded.settings
    assert loaded.warnings == ()
    assert (settings.loop_nums, settings.log_enable, settings.log_level) == (-1, False, 2)
    assert (settings.http_flv.enable, settings.hls.need_auth, settings.rtsp.serverport) == (False, True, 700)
    assert [(user.username, user.password.get_secret_value()) for user in settings.users] == [
        ("yes", "123456"),
        ("null", " pw "),
    ]
    assert settings.backchannel is None
    (application,) = settings.applications
    assert len(application.outputs) == 1
    assert application.outputs[0].video is not None
    assert application.outputs[0].video.codec == "H265"
    assert [proxy.password and proxy.password.get_secret_value() for proxy in application.proxies] == ["pw", "pw"]
    assert [pusher.suffix for pusher in application.pushers] == ["pusher"]
    assert loaded.origin("rtsp", "serverport") == f"{tmp_path}/a.cfg line 8, config.rtsp.serverport"


MISTAKES = [
    ("rtsp:\n  serverport: 99999", "a.yaml:2: rtsp.serverport: found '99999', allowed: 1 to 65535"),
    ("rtsp: 5", "a.yaml:1: rtsp: found '5', nodes are expected here, not a value: enable, "),
    ("rtsp: {serverport: {a: 1}}", "a.yaml:1: rtsp.serverport: a value is expected here, not nodes: a"),
    ("rtsp: {serverport: [1, 2]}", "a.yaml:1: rtsp.serverport: given twice, first in line 1; one is allowed"),
    ("rtsp: {enable: 2}", "a.yaml:1: rtsp.enable: found '2', allowed: 0 or 1"),
    ("rtsp: {enable: 'true'}", "a.yaml:1: rtsp.enable: found 'true', allowed: 0 or 1"),
    ("log_level: true", "a.yaml:1: log_level: found 'true', allowed: 0 to 5"),
    ("users:\n- password: x", "a.yaml:2: users: needs a username"),
    ("user: {username: a, password: x}\nusers: {username: a, password: y}", "a.yaml:2: users.username: found 'a', "),
    ("http_flv: {}\nhttp-flv: {}", "a.yaml:2: http-flv: given twice, first in line 1; one is allowed"),
]


@pytest.mark.parametrize(("text", "message"), MISTAKES)
def test_a_mistake_names_nodes_as_yaml_does(tmp_path: Path, text: str, message: str) -> None:
    (mistake,) = mistakes_of(tmp_path, text, "a.yaml")
    assert mistake.startswith(message)


def test_yaml_starts_from_the_built_in_defaults(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert load_text(tmp_path, "# nothing").settings == load([]).settings
