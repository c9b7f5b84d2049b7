"""What every part of the state is."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Token = Annotated[str, Field(min_length=1, max_length=64)]  # tt:ReferenceToken


class Part(BaseModel):
    """A part of the state. Assignments are checked, so that a file once written can be read again."""

    model_config = ConfigDict(
        validate_assignment=True,
        extra="forbid",
        hide_input_in_errors=True,
        ser_json_bytes="base64",
        val_json_bytes="base64",
        defer_build=True,  # most parts are never needed by themselves
    )
