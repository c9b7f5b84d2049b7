"""The schema as data: which node goes to which field, and how."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any, get_args

from pydantic_core import PydanticUndefined

from manycast.config.schema.base import Group
from manycast.config.schema.rules import Rule, SwitchRule


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldSpec:
    """One field of a group, as messages and the reference need it. Either `group` or `rule` is set."""

    field: str
    node: str  # its name in a file
    many: bool  # the node may stand several times
    group: type[Group] | None
    rule: Rule | None
    default: Any
    required: bool
    description: str
    ours: bool

    @property
    def secret(self) -> bool:
        return self.rule is not None and self.rule.secret

    @property
    def switch(self) -> bool:
        return isinstance(self.rule, SwitchRule)


@cache
def fields_of(model: type[Group]) -> tuple[FieldSpec, ...]:
    """The fields of one group, in the order of the schema."""
    return tuple(_spec(model, name) for name in model.model_fields)


def field_of(model: type[Group], name: str) -> FieldSpec:
    return next(spec for spec in fields_of(model) if spec.field == name)


def every_field(model: type[Group], above: tuple[FieldSpec, ...] = ()) -> Iterator[tuple[FieldSpec, ...]]:
    """The way to each field, at any depth: the groups passed, then the field."""
    for spec in fields_of(model):
        yield (*above, spec)
        if spec.group is not None:
            yield from every_field(spec.group, (*above, spec))


def _spec(model: type[Group], name: str) -> FieldSpec:
    info = model.model_fields[name]
    extra = info.json_schema_extra if isinstance(info.json_schema_extra, dict) else {}
    parts = [*info.metadata, *_parts(info.annotation)]
    return FieldSpec(
        field=name,
        node=str(extra.get("node") or name),
        many=tuple in parts,
        group=next((part for part in parts if isinstance(part, type) and issubclass(part, Group)), None),
        rule=next((part for part in parts if isinstance(part, Rule)), None),
        default=None if info.default is PydanticUndefined else info.default,
        required=info.is_required(),
        description=info.description or "",
        ours=bool(extra.get("ours")),
    )


def _parts(annotation: Any) -> Iterator[Any]:
    """The types and metadata an annotation is made of, from outside in: `tuple`, a group, a rule."""
    arguments = get_args(annotation)
    if not arguments:
        yield annotation
        return
    if getattr(annotation, "__origin__", None) is tuple:
        yield tuple
    for argument in arguments:
        yield from _parts(argument)
