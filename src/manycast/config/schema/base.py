"""What every model of the schema is."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field


class Group(BaseModel):
    """A group of nodes. Unknown nodes are sorted out beforehand, so an extra field is our own bug."""

    # Its validator is made when it is first needed: most are parts of others, and never needed by themselves.
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True, defer_build=True)


def setting(default: Any, description: str, *, node: str | None = None, ours: bool = False, show: bool = True) -> Any:
    """One field of a group.

    Args:
        default: The value when nothing is configured at all.
        description: One or two sentences for the reference.
        node: The node's name in a file, where it is not the field's.
        ours: The node is not among those the file formats were defined with.
        show: False keeps the value out of `repr`, for addresses that may carry a password.
    """
    return Field(default, description=description, repr=show, json_schema_extra={"node": node, "ours": ours})
