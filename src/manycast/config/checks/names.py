"""Names that occur twice."""

from __future__ import annotations

from collections.abc import Iterator

from manycast.config.problems import Problem
from manycast.config.subject import Step, Subject


def doubled_applications(subject: Subject) -> Iterator[Problem]:
    seen: dict[str, tuple[Step, ...]] = {}
    for index, application in enumerate(subject.settings.applications):
        path = ("applications", index, "name")
        if application.name in seen:
            first = subject.node(*seen[application.name])
            message = f"the same name as another application ({first.place})"
            yield _at(subject, path, message, application.name)
        seen.setdefault(application.name, path)


def doubled_users(subject: Subject) -> Iterator[Problem]:
    """The same user with the same password in two files is one user."""
    seen: dict[str, tuple[int, str]] = {}
    for index, user in enumerate(subject.settings.users):
        password = user.password.get_secret_value()
        first = seen.setdefault(user.username, (index, password))
        if first[1] != password:
            place = subject.node("users", first[0], "username").place
            message = f"the same name as another user ({place}), with another password"
            yield _at(subject, ("users", index, "username"), message, user.username)


def shadowed_streams(subject: Subject) -> Iterator[Problem]:
    """Proxies and pushers of one address: the first of them has it."""
    seen: dict[str, tuple[Step, ...]] = {}
    for address, path in _streams(subject):
        if address in seen:
            first = subject.node(*seen[address])
            message = f"the address {address} is already that of {first.label} ({first.place}), which comes first"
            yield _at(subject, path, message, subject.value(*path))
        seen.setdefault(address, path)


def _streams(subject: Subject) -> Iterator[tuple[str, tuple[Step, ...]]]:
    for index, application in enumerate(subject.settings.applications):
        above = f"{application.name}/" if application.name else ""
        for number, proxy in enumerate(application.proxies):
            if proxy.url is not None:
                yield above + proxy.suffix, ("applications", index, "proxies", number, "suffix")
        for number, pusher in enumerate(application.pushers):
            yield above + pusher.suffix, ("applications", index, "pushers", number, "suffix")


def _at(subject: Subject, path: tuple[Step, ...], message: str, found: str | None) -> Problem:
    """At the node, or at its group where the name is a default."""
    return subject.problem(path if subject.written(*path) else path[:-1], message, found)
