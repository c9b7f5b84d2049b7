"""Who may log in."""

from __future__ import annotations

from pydantic import Field

from manycast.config.schema.base import Group
from manycast.config.schema.values import Secret, Username


class User(Group):
    username: Username = Field(description="Login name.")
    password: Secret = Field(description="Password.")
