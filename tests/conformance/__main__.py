"""`script/onvif-conformance URL`: run the cases against a device, and say how many pass."""

from __future__ import annotations

import argparse
import sys
import warnings
from collections.abc import Iterable, Iterator, Sequence

import urllib3

from conformance.device import Device, Timing
from conformance.frame import Case, Outcome, Result, run_case, table, tally
from conformance.specifications import SPECIFICATIONS


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status 1 if a case fails."""
    options = _parser().parse_args(arguments)
    warnings.simplefilter("ignore", urllib3.exceptions.InsecureRequestWarning)  # devices sign their certificates
    timing = Timing(operation_delay_s=options.operation_delay)
    device = Device(options.url, options.user, options.password, timing)
    failed = False
    tallies = []
    for specification in SPECIFICATIONS:
        if options.specification and options.specification.lower() not in specification.name.lower():
            continue
        results = []
        for case in _chosen(specification.cases.values(), options.case):
            result = run_case(case, device)
            results.append(result)
            failed |= result.outcome is Outcome.FAILED
            if options.verbose or result.outcome in (Outcome.FAILED, Outcome.UNWRITTEN):
                print(_line(result), flush=True)
        tallies.append(tally(specification, results))
    print(table(tallies))
    return int(failed)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="script/onvif-conformance",
        description="Run the cases of ONVIF's device test specifications against a device.",
    )
    parser.add_argument("url", help="of the device service: http://192.0.2.1:8000/onvif/device_service")
    parser.add_argument("--user", default="", help="with the rights of an administrator")
    parser.add_argument("--password", default="")
    parser.add_argument("--specification", metavar="WORD", help="only the one with this word in its name")
    parser.add_argument(
        "--case", metavar="ID", action="append", help="only cases that begin so: EVENT-3; may be repeated"
    )
    parser.add_argument("--operation-delay", type=float, default=30.0, metavar="SECONDS", help="for events to come")
    parser.add_argument("-v", "--verbose", action="store_true", help="a line for each case")
    return parser


def _chosen(cases: Iterable[Case], wanted: list[str] | None) -> Iterator[Case]:
    for case in cases:
        if wanted is None or any(case.identifier.startswith(each) for each in wanted):
            yield case


def _line(result: Result) -> str:
    message = f": {result.message}" if result.message else ""
    return f"{result.case.identifier:<16} {result.outcome.value}{message} ({result.case.title}, {result.seconds:.1f} s)"


if __name__ == "__main__":
    sys.exit(main())
