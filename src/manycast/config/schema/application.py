"""The first element of an address, and what stands behind it."""

from __future__ import annotations

from manycast.config.schema.base import Group, setting
from manycast.config.schema.output import Output
from manycast.config.schema.proxy import Proxy
from manycast.config.schema.pusher import Pusher
from manycast.config.schema.values import ApplicationName


class Application(Group):
    name: ApplicationName = setting("", "First element of every address of this application; empty: the root.")
    outputs: tuple[Output, ...] = setting((), "What is sent, repeatable, tried from top to bottom.", node="output")
    proxies: tuple[Proxy, ...] = setting((), "Streams fetched from elsewhere, repeatable.", node="proxy")
    pushers: tuple[Pusher, ...] = setting((), "Streams pushed to the server, repeatable.", node="pusher")

    def path_of(self, suffix: str) -> str:
        """Where a proxy or pusher stands."""
        return f"{self.name}/{suffix}" if self.name else suffix
