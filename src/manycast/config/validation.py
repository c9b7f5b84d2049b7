"""Settings from what was written.

What is not allowed is reported and taken out, so that the rest is judged too.
"""

from __future__ import annotations

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from manycast.config.assembly import Report, shown_value
from manycast.config.problems import Problem
from manycast.config.schema.fields import field_of
from manycast.config.schema.settings import Settings
from manycast.config.written import Branch, Leaf


def build(root: Branch, report: Report) -> tuple[Settings, Branch]:
    """Return the settings, and what of the written they hold."""
    while True:
        try:
            return Settings.model_validate(root.values()), root
        except ValidationError as error:
            root = _without(root, [_judge(root, details, report) for details in error.errors(include_context=False)])


def _without(root: Branch, culprits: list[Leaf | Branch]) -> Branch:
    dropped = set(map(id, culprits))
    return root.only(lambda entry: id(entry) not in dropped)


def _judge(root: Branch, details: ErrorDetails, report: Report) -> Leaf | Branch:
    """Report one error of pydantic's; return what has to go."""
    entry = root.find(details["loc"])
    if isinstance(entry, Leaf):
        report.mistakes.append(_not_allowed(entry))
        if not entry.spec.required:
            return entry
        return _group(root, details["loc"][:-1])  # without it, the group would be reported once more
    group = _group(root, details["loc"][:-1]) if entry is None else entry
    report.mistakes.append(_incomplete(group, details))
    return group


def _group(root: Branch, path: tuple[int | str, ...]) -> Branch:
    group = root.find(path)
    assert isinstance(group, Branch)
    assert group is not root, "the whole has no rules of its own"
    return group


def _not_allowed(leaf: Leaf) -> Problem:
    assert leaf.spec.rule is not None
    return leaf.node.problem(leaf.spec.rule.fault(leaf.value), shown_value(leaf))


def _incomplete(group: Branch, details: ErrorDetails) -> Problem:
    if details["type"] == "missing":
        return group.node.problem(f"needs a {field_of(group.model, str(details['loc'][-1])).node}")
    return group.node.problem(details["msg"].removeprefix("Value error, "))
