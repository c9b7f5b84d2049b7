"""Who may do what, and what a password has to be."""

from __future__ import annotations

from enum import StrEnum

from pydantic import Field

from manycast.onvif.state.base import Part
from manycast.onvif.state.limits import MAX_PASSWORD_HISTORY


class UserLevel(StrEnum):
    """tt:UserLevel."""

    ADMINISTRATOR = "Administrator"
    OPERATOR = "Operator"
    USER = "User"
    ANONYMOUS = "Anonymous"  # the rights of those without a login; a file may give it to a user


class HashingAlgorithm(StrEnum):
    """Of HTTP Digest, as SetHashingAlgorithm names them; the one to be preferred first."""

    SHA256 = "SHA-256"
    MD5 = "MD5"


class User(Part):
    username: str = Field(min_length=1)
    password: str = Field("", repr=False)  # as it is: digests are made of it
    level: UserLevel = UserLevel.USER
    fixed: bool = False  # by the configuration: clients can neither delete nor change it
    # The latest first, for the password history.
    earlier_passwords: list[str] = Field(default_factory=list, max_length=MAX_PASSWORD_HISTORY, repr=False)


class RemoteUser(Part):
    """With which the device logs in elsewhere."""

    username: str
    password: str | None = Field(None, repr=False)
    use_derived_password: bool = False


class PasswordComplexity(Part):
    """The least of each kind of characters."""

    min_length: int = Field(0, ge=0)
    uppercase: int = Field(0, ge=0)
    number: int = Field(0, ge=0)
    special_chars: int = Field(0, ge=0)
    block_username_occurrence: bool = False
    policy_configuration_locked: bool = False


class PasswordHistory(Part):
    enabled: bool = False
    length: int = Field(0, ge=0, le=MAX_PASSWORD_HISTORY)


class AuthFailureWarning(Part):
    enabled: bool = False
    monitor_period_s: int = Field(60, ge=1)
    max_auth_failures: int = Field(5, ge=1)


class PasswordPolicy(Part):
    complexity: PasswordComplexity = Field(default_factory=PasswordComplexity)
    history: PasswordHistory = Field(default_factory=PasswordHistory)
    failure_warning: AuthFailureWarning = Field(default_factory=AuthFailureWarning)
