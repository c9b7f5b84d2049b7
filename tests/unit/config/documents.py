"""Configuration files for tests, and what comes of them."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

from manycast.config import ConfigurationError, LoadedConfiguration, load

EXAMPLES = Path(__file__).parents[3] / "contrib" / "examples"


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(dedent(text).lstrip("\n"), encoding="utf-8")
    return path


def load_text(folder: Path, text: str, name: str = "a.cfg") -> LoadedConfiguration:
    return load([write(folder, name, text)])


def warnings_of(folder: Path, text: str, name: str = "a.cfg") -> list[str]:
    """The warnings about one file, without its folder."""
    return [str(problem).replace(f"{folder}/", "") for problem in load_text(folder, text, name).warnings]


def mistakes_of(folder: Path, text: str, name: str = "a.cfg") -> list[str]:
    """The mistakes of one file, without its folder."""
    return mistakes_of_files(folder, write(folder, name, text))


def mistakes_of_files(folder: Path, *paths: Path) -> list[str]:
    try:
        load(paths)
    except ConfigurationError as error:
        return [str(problem).replace(f"{folder}/", "") for problem in error.problems]
    return []
