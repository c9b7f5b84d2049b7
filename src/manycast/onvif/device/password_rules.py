"""What a password has to be (ONVIF Core, section Security Policies)."""

from __future__ import annotations

from manycast.onvif.state.users import PasswordPolicy, User


def check_password(policy: PasswordPolicy, username: str, password: str, known: User | None) -> str | None:
    """What is wrong with a new password, or None. `known` is the user whose password it replaces."""
    rules = policy.complexity
    least = max(1, rules.min_length)
    counts = (
        (len(password), least, "characters"),
        (sum(character.isupper() for character in password), rules.uppercase, "uppercase letters"),
        (sum(character.isdigit() for character in password), rules.number, "digits"),
        (sum(not character.isalnum() for character in password), rules.special_chars, "special characters"),
    )
    for count, wanted, what in counts:
        if count < wanted:
            return f"{count} {what}, at least {wanted}"
    if rules.block_username_occurrence and username.lower() in password.lower():
        return "the name is in the password"
    if policy.history.enabled and known is not None:
        latest = [known.password, *known.earlier_passwords][: policy.history.length]
        if password in latest:
            return f"it is one of the last {policy.history.length} passwords"
    return None
