"""The table of all operations, for the documentation."""

from __future__ import annotations

from collections.abc import Iterator

from manycast.onvif.onvif_device import OnvifDevice
from manycast.onvif.soap.catalogue import SERVICES, ServiceDescription, wsdl_folder
from manycast.onvif.soap.operations import Operations
from manycast.onvif.soap.wsdl import OperationDescription, read_operations
from manycast.onvif.state.device import DeviceState
from manycast.onvif.state.store import StateStore

MARK = "<!-- What follows is written by script/generate-reference. -->"


def with_table(page: str) -> str:
    """The page with the table below its mark. Raises ValueError for a page without the mark."""
    text, mark, _ = page.partition(MARK)
    if not mark:
        raise ValueError(f"no {MARK!r} in the page")
    return f"{text}{MARK}\n\n{render_table()}"


def render_table() -> str:
    """Every operation of every WSDL: the access class it needs, or that it is not supported."""
    implemented = Operations(OnvifDevice(StateStore(DeviceState)).services).implemented
    described = {prefix: read_operations(wsdl_folder() / service.wsdl) for prefix, service in SERVICES.items()}
    total = sum(map(len, described.values()))
    done = sum(each.request in implemented for operations in described.values() for each in operations)
    lines = [f"{total} operations in {len(SERVICES)} services; {done} are implemented.", ""]
    for prefix, operations in described.items():
        lines += _heading(SERVICES[prefix], sum(each.request in implemented for each in operations), len(operations))
        if any(each.request in implemented for each in operations):
            lines += ["| operation | access class |", "| --- | --- |"]
            for name, each in _named(operations):
                found = implemented.get(each.request)
                lines.append(f"| {name} | {'`ter:ActionNotSupported`' if found is None else found.access.value} |")
        else:
            lines.append(f"`ter:ActionNotSupported`: {', '.join(name for name, _ in _named(operations))}.")
        lines.append("")
    return "\n".join(lines)


def _heading(service: ServiceDescription, done: int, total: int) -> list[str]:
    year, month = service.version
    return [
        f"### {service.name} (`{service.prefix}`): {done} of {total}",
        "",
        f"`{service.namespace}`, version {year}.{month:02}, at `{service.path}`.",
        "",
    ]


def _named(operations: list[OperationDescription]) -> Iterator[tuple[str, OperationDescription]]:
    """With the port type, where several have an operation of that name."""
    names = [each.name for each in operations]
    for each in operations:
        yield (f"{each.name} ({each.port_type})" if names.count(each.name) > 1 else each.name), each
