"""The document that is written from the schema."""

from pathlib import Path

from manycast.config.reference import render_reference
from manycast.config.schema.fields import every_field
from manycast.config.schema.settings import Settings

DOCUMENT = Path(__file__).parents[3] / "docs" / "configuration.md"


def test_the_committed_document_is_current() -> None:
    assert DOCUMENT.read_text(encoding="utf-8") == render_reference(), "run script/generate-reference"


def test_every_node_and_its_description_is_in_it() -> None:
    text = render_reference()
    for specs in every_field(Settings):
        assert f"`{specs[-1].node}`" in text or f"<{specs[-1].node}>`" in text, specs[-1].node
        assert specs[-1].description in text


def test_defaults_of_the_dialects_stand_beside_the_built_in_ones() -> None:
    row = "| `serverport` | `<config><http_port>` | 1 to 65535 | `8080` (media `80`, RTSP `8080`) | TCP port. |"
    assert row in render_reference().splitlines()


def test_every_table_row_has_the_cells_of_its_head() -> None:
    width = 0
    for line in render_reference().splitlines():
        if line.startswith("|---"):
            width = line.count("|")
        elif line.startswith("| ") and width:
            assert line.count("|") == width, line
        elif not line:
            width = 0
