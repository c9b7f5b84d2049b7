"""What every case is written with: specifications, features, cases, outcomes.

A specification is a list of cases, in the order of the document, each with the identifier the document gives it. A case
names the features it needs, as the document's pre-requisites do; whether a device has them is found by asking it, as
the Feature Discovery Specification says. Where all are there, the case applies, and its function is run: it follows the
procedure of the document and raises Failed where a pass criterion does not hold.
"""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from enum import Enum

from conformance.client import BadReply, SoapFault
from conformance.device import Device

Procedure = Callable[[Device], None]


class Failed(Exception):
    """A pass criterion does not hold."""


def require(condition: object, criterion: str) -> None:
    """Raise Failed with the criterion, said as what was wrong, unless it holds."""
    if not condition:
        raise Failed(criterion)


@dataclass(frozen=True, slots=True)
class Feature:
    """What a device may or may not have, and how one finds out."""

    name: str
    supported: Callable[[Device], bool]


@dataclass(frozen=True, slots=True)
class Case:
    identifier: str
    title: str
    needs: tuple[Feature, ...]
    procedure: Procedure | None  # None: not written yet

    def missing(self, device: Device) -> list[Feature]:
        """The features that the case needs and the device lacks: none where the case applies."""
        return [feature for feature in self.needs if not feature.supported(device)]


@dataclass(slots=True)
class Specification:
    """One document of test cases, for one service as a rule."""

    name: str
    document: str
    cases: dict[str, Case] = field(default_factory=dict)

    def case(self, identifier: str, title: str, *needs: Feature) -> Callable[[Procedure], Procedure]:
        """Mark a function as the procedure of a case."""

        def mark(procedure: Procedure) -> Procedure:
            self._add(Case(identifier, title, needs, procedure))
            return procedure

        return mark

    def unwritten(self, identifier: str, title: str, *needs: Feature) -> None:
        """A case that nobody has written a procedure for: counted, and said so where it applies."""
        self._add(Case(identifier, title, needs, None))

    def _add(self, case: Case) -> None:
        if case.identifier in self.cases:
            raise ValueError(f"{case.identifier} is there twice")
        self.cases[case.identifier] = case


class Outcome(Enum):
    PASSED = "passed"
    FAILED = "FAILED"
    UNWRITTEN = "not written"
    NOT_APPLICABLE = "not applicable"


@dataclass(frozen=True, slots=True)
class Result:
    case: Case
    outcome: Outcome
    message: str = ""
    seconds: float = 0.0


def run_case(case: Case, device: Device) -> Result:
    """Run one case against a device, if it applies to it. What goes wrong is its failure; nothing is raised."""
    started_s = time.monotonic()

    def result(outcome: Outcome, message: str = "") -> Result:
        return Result(case, outcome, message, time.monotonic() - started_s)

    try:
        if missing := case.missing(device):
            return result(Outcome.NOT_APPLICABLE, "without " + ", ".join(feature.name for feature in missing))
        if case.procedure is None:
            return result(Outcome.UNWRITTEN)
        case.procedure(device)
    except (Failed, SoapFault, BadReply, OSError) as error:
        return result(Outcome.FAILED, str(error) or type(error).__name__)
    except Exception:  # a reply so odd that the procedure stumbled over it
        return result(Outcome.FAILED, traceback.format_exc())
    return result(Outcome.PASSED)


@dataclass(frozen=True, slots=True)
class Tally:
    """The figures of one specification."""

    name: str
    cases: int
    applicable: int
    passed: int
    failed: int
    unwritten: int


def tally(specification: Specification, results: Sequence[Result]) -> Tally:
    def count(outcome: Outcome) -> int:
        return sum(result.outcome is outcome for result in results)

    return Tally(
        name=specification.name,
        cases=len(specification.cases),
        applicable=len(results) - count(Outcome.NOT_APPLICABLE),
        passed=count(Outcome.PASSED),
        failed=count(Outcome.FAILED),
        unwritten=count(Outcome.UNWRITTEN),
    )


def table(tallies: Iterable[Tally]) -> str:
    """The figures, a line for each specification."""
    columns = "{:<28}{:>7}{:>12}{:>9}{:>9}{:>13}"
    lines = [columns.format("specification", "cases", "applicable", "passed", "failed", "not written")]
    lines += [
        columns.format(each.name, each.cases, each.applicable, each.passed, each.failed, each.unwritten)
        for each in tallies
    ]
    return "\n".join(lines)
