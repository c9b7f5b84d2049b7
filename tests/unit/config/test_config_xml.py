"""Reading XML, the malformed and the hostile included."""

import time
from pathlib import Path

import pytest

from manycast.config import ConfigurationError
from manycast.config.node import MAX_DEPTH, MAX_FILE_BYTES, Node
from manycast.config.xml_reader import read_xml

from .documents import EXAMPLES, mistakes_of, mistakes_of_files

FILE = Path("a.cfg")


def _error(data: bytes) -> str:
    with pytest.raises(ConfigurationError) as caught:
        read_xml(FILE, data)
    (problem,) = caught.value.problems
    return str(problem)


def test_nodes_keep_their_lines_and_paths() -> None:
    root = read_xml(FILE, b"<config>\n<rtsp>\n\n<serverport> 554 </serverport>\n<a b='c'/></rtsp>x</config>")
    rtsp = root.nodes[0]
    port, empty = rtsp.nodes
    assert (root.text, rtsp.line, rtsp.text) == ("x", 2, "")
    assert port == Node(name="serverport", path="config/rtsp/serverport", file=FILE, line=4, text="554")
    assert (empty.attributes, empty.line) == ((("b", "c"),), 5)


def test_comments_processing_instructions_and_cdata() -> None:
    root = read_xml(
        FILE, b"<?xml version='1.0'?><!-- a --><config><?b c?><x>1<!-- 2 -->3</x><y><![CDATA[<&>]]></y></config>"
    )
    assert [node.text for node in root.nodes] == ["13", "<&>"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "iso-8859-1"])
def test_encodings(tmp_path: Path, encoding: str) -> None:
    declared = "utf-8" if encoding == "utf-8-sig" else encoding
    path = tmp_path / "a.cfg"
    path.write_bytes(f"<?xml version='1.0' encoding='{declared}'?><config><ü/></config>".encode(encoding))
    root = read_xml(path, path.read_bytes())
    assert root.nodes[0].name == "ü"
    assert mistakes_of_files(tmp_path, path) == []


MALFORMED = [
    (b"<config>\n<rtsp></rtsp\n></config", "a.cfg:3: not well-formed XML at column 10: "),
    (
        b"<config>\n  <rtsp></http>\n</config>",
        "a.cfg:2: not well-formed XML at column 16: Opening and ending tag mismatch",
    ),
    (b"<config/>\n<config/>", "a.cfg:2: not well-formed XML at column 1: Extra content at the end of the document"),
    (b"<config>\n&nothing;</config>", "a.cfg:2: not well-formed XML at column 10: entity not defined"),
    (b"<config>\xff</config>", "a.cfg:1: not well-formed XML at column "),
    (b"<config>\x00</config>", "a.cfg:1: not well-formed XML at column "),
    (b"\n<?xml version='1.0'?><config/>", "a.cfg:2: not well-formed XML at column "),
    (b"<html>\n</html>", "a.cfg:1: the root node is <html>, not <config>"),
    (b"<config xmlns='urn:x'/>", "a.cfg:1: the root node is <{urn:x}config>, not <config>"),
    (b"<!DOCTYPE config><config/>", "a.cfg: a document type (<!DOCTYPE ...>) is not allowed"),
    (b"<config>" + b"<a>" * 100 + b"</a>" * 100 + b"</config>", f"a.cfg:1: nodes nested deeper than {MAX_DEPTH}"),
    (b"<a>" * 100_000, "a.cfg:1: not well-formed XML at column "),
    (b"<config>" + b"<a/>" * 200_001 + b"</config>", "a.cfg:1: more than 200000 nodes"),
]


@pytest.mark.parametrize(("data", "message"), MALFORMED, ids=range(len(MALFORMED)))
def test_a_malformed_file(data: bytes, message: str) -> None:
    assert _error(data).startswith(message)


def test_the_depth_that_is_allowed() -> None:
    depth = MAX_DEPTH - 1
    assert read_xml(FILE, b"<config>" + b"<a>" * depth + b"</a>" * depth + b"</config>").name == "config"


def test_entities_are_not_followed(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("<log_level>0</log_level>")
    documents = [
        f"<!DOCTYPE config [<!ENTITY x SYSTEM '{secret}'>]><config>&x;</config>",
        f"<!DOCTYPE config [<!ENTITY % x SYSTEM '{secret}'> %x;]><config/>",
        f"<!DOCTYPE config SYSTEM '{secret}'><config/>",
        "<!DOCTYPE config [<!ENTITY x '1'>]><config><log_level>&x;</log_level></config>",
        "<!DOCTYPE config [<!ATTLIST log_level a CDATA '1'>]><config><log_level/></config>",
    ]
    for document in documents:
        (mistake,) = mistakes_of(tmp_path, document)
        assert mistake == "a.cfg: a document type (<!DOCTYPE ...>) is not allowed"


@pytest.mark.parametrize("where", ["<config>&j;</config>", "<config a='&j;'/>"])
def test_entities_that_multiply_cost_nothing(where: str) -> None:
    letters = "abcdefghij"
    entities = "".join(
        f"<!ENTITY {letter} '{f'&{before};' * 10 if before else 'x' * 1000}'>"
        for before, letter in zip(["", *letters], letters, strict=False)
    )
    started_s = time.monotonic()
    assert _error(f"<!DOCTYPE config [{entities}]>{where}".encode()).startswith("a.cfg:")
    assert time.monotonic() - started_s < 5.0


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    empty, blank, large = (tmp_path / name for name in ("empty", "blank", "large"))
    empty.touch()
    blank.write_bytes(b"\xef\xbb\xbf \n\t")
    large.write_bytes(b"<config>" + b" " * MAX_FILE_BYTES)
    assert mistakes_of_files(tmp_path, empty, blank, large, tmp_path / "none", tmp_path, Path("a\x00")) == [
        f"{tmp_path}: cannot be read: Is a directory",
        "blank: is empty",
        "empty: is empty",
        f"large: is larger than {MAX_FILE_BYTES} bytes",
        "none: cannot be read: No such file or directory",
        "a\x00: cannot be read: not a file's name",
    ]


@pytest.mark.parametrize("name", ["mediaserver.cfg", "rtspserver.cfg", "rtsp.cfg"])
def test_every_prefix_of_an_example_is_a_mistake_or_a_configuration(tmp_path: Path, name: str) -> None:
    data = (EXAMPLES / name).read_bytes().rstrip()
    path = tmp_path / "a.cfg"
    for end in range(0, len(data), 7):
        path.write_bytes(data[:end])
        assert len(mistakes_of_files(tmp_path, path)) == 1
