"""The table of operations in the documentation."""

from __future__ import annotations

from pathlib import Path

import pytest

from manycast.onvif.operations_table import MARK, with_table

PAGE = Path(__file__).parents[3] / "docs" / "onvif.md"


def test_the_page_is_what_the_code_says() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert page == with_table(page), "run script/generate-reference"


def test_all_operations_of_the_nineteen_services_are_in_it() -> None:
    table = PAGE.read_text(encoding="utf-8").partition(MARK)[2]
    assert table.lstrip().startswith("516 operations in 19 services;")
    assert table.count("\n### ") == 19


def test_a_page_without_the_mark_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="no "):
        with_table("a page")
