"""Names of consumers to addresses: in threads of its own, so that slow name servers hold up nothing else."""

from __future__ import annotations

import asyncio
import socket
from collections import OrderedDict
from collections.abc import Sequence
from threading import Thread
from weakref import WeakValueDictionary

MAX_LOOKUPS = 4  # at a time
MAX_LOOKUPS_OF_OWNER = 2  # so that the names of one subscriber do not hold up those of the others
MAX_ADDRESSES = 4  # of a name
KEPT_S = 30.0
MAX_KEPT = 256  # names


class Lookup:
    """Looks up names, a few at a time; the others wait. For the event loop's thread."""

    def __init__(self) -> None:
        self._places = asyncio.Semaphore(MAX_LOOKUPS)
        self._owners: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()
        self._known: OrderedDict[str, tuple[float, Sequence[str]]] = OrderedDict()  # until when, and the addresses

    async def find(self, name: str, owner: str) -> Sequence[str]:
        """The addresses of a name. Raises OSError. A thread that never ends keeps its place, even if nobody waits."""
        loop = asyncio.get_running_loop()
        known = self._known.get(name)
        if known is not None and loop.time() < known[0]:
            return known[1]
        own = self._owners.setdefault(owner, asyncio.Semaphore(MAX_LOOKUPS_OF_OWNER))
        await own.acquire()
        try:
            await self._places.acquire()
        except BaseException:
            own.release()
            raise
        answer: asyncio.Future[Sequence[str]] = loop.create_future()

        def end(found: Sequence[str] | OSError) -> None:
            own.release()
            self._places.release()
            if answer.done():
                return
            if isinstance(found, OSError):
                answer.set_exception(found)
            else:
                self._keep(name, found, loop.time() + KEPT_S)
                answer.set_result(found)

        def work() -> None:
            found = _addresses(name)
            try:
                loop.call_soon_threadsafe(end, found)
            except RuntimeError:
                pass  # the loop has ended meanwhile

        # A daemon: the process does not wait for it at its end, as it would for those of an executor.
        Thread(target=work, name=f"lookup of {name}", daemon=True).start()
        return await answer

    def _keep(self, name: str, found: Sequence[str], until_s: float) -> None:
        self._known[name] = until_s, found
        self._known.move_to_end(name)
        if len(self._known) > MAX_KEPT:
            self._known.popitem(last=False)


def _addresses(name: str) -> Sequence[str] | OSError:
    try:
        found = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    except OSError as error:
        return error
    except UnicodeError as error:  # no name that can be looked up
        return OSError(str(error))
    return list(dict.fromkeys(str(address[0]) for *_, address in found))[:MAX_ADDRESSES]
