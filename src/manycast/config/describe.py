"""Settings as YAML, for people and for reading back."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from manycast.config.schema.base import Group
from manycast.config.schema.settings import Settings
from manycast.wire.masking import HIDDEN, masked


def describe(settings: Settings) -> str:
    """The configuration as understood: every value in force, passwords hidden."""
    return to_yaml(settings, reveal=False)


def to_yaml(settings: Settings, *, reveal: bool) -> str:
    """Settings as a YAML configuration; with `reveal`, one that reads back as the same settings."""
    # Imported here and in loading.py: a server without a YAML file has no use for it.
    import yaml

    plain = _group(settings, reveal)
    return yaml.safe_dump(plain, sort_keys=False, allow_unicode=True, width=1000)


def _group(group: Group, reveal: bool) -> dict[str, Any]:
    values = {name: getattr(group, name) for name in type(group).model_fields}
    return {name: _value(value, reveal) for name, value in values.items() if value is not None}


def _value(value: Any, reveal: bool) -> Any:
    match value:
        case Group():
            return _group(value, reveal)
        case tuple():
            return [_value(item, reveal) for item in value]
        case bool():
            return int(value)
        case SecretStr():
            return value.get_secret_value() if reveal else HIDDEN
        case Enum():
            return value.value
        case Path():
            return str(value)
        case str():
            return value if reveal else masked(value)
        case _:
            return value
