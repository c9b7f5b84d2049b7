"""The rules for passwords, and the warning of failed logins."""

from __future__ import annotations

from typing import Any

from manycast.onvif.device.part import DevicePart
from manycast.onvif.device.users import MAX_PASSWORD_CHARS
from manycast.onvif.security.access import Access
from manycast.onvif.soap.fault import Fault
from manycast.onvif.soap.service import NOTHING, Caller, Reply, operation
from manycast.onvif.state.limits import MAX_PASSWORD_HISTORY
from manycast.onvif.state.users import AuthFailureWarning, PasswordComplexity, PasswordHistory

MAX_MONITOR_PERIOD_S = 3600
MAX_FAILURES = 1000


class PasswordPolicies(DevicePart):
    @operation(Access.READ_SYSTEM)
    async def get_password_complexity_options(self, request: Any, caller: Caller) -> Reply:
        some = {"Min": 0, "Max": MAX_PASSWORD_CHARS}
        return {
            "MinLenRange": {"Min": 1, "Max": MAX_PASSWORD_CHARS},
            "UppercaseRange": some,
            "NumberRange": some,
            "SpecialCharsRange": some,
            "BlockUsernameOccurrenceSupported": True,
            "PolicyConfigurationLockSupported": True,
        }

    @operation(Access.READ_SYSTEM)
    async def get_password_complexity_configuration(self, request: Any, caller: Caller) -> Reply:
        rules = self.state.password_policy.complexity
        return {
            "MinLen": max(1, rules.min_length),
            "Uppercase": rules.uppercase,
            "Number": rules.number,
            "SpecialChars": rules.special_chars,
            "BlockUsernameOccurrence": rules.block_username_occurrence,
            "PolicyConfigurationLocked": rules.policy_configuration_locked,
        }

    @operation(Access.WRITE_SYSTEM)
    async def set_password_complexity_configuration(self, request: Any, caller: Caller) -> Reply:
        """What is left out has no rule any more. A lock holds until the next factory default."""
        self._refuse_if_locked()
        least = request.MinLen if request.MinLen is not None else 1
        counts = [count or 0 for count in (request.Uppercase, request.Number, request.SpecialChars)]
        if not 1 <= least <= MAX_PASSWORD_CHARS or any(count < 0 for count in counts):
            raise Fault.sender("ter:InvalidArgVal", reason="a rule out of its range")
        if sum(counts) > MAX_PASSWORD_CHARS:
            raise Fault.sender("ter:InvalidArgVal", reason="no password could be long enough")
        uppercase, number, special_chars = counts
        self.state.password_policy.complexity = PasswordComplexity(
            min_length=least,
            uppercase=uppercase,
            number=number,
            special_chars=special_chars,
            block_username_occurrence=bool(request.BlockUsernameOccurrence),
            policy_configuration_locked=bool(request.PolicyConfigurationLocked),
        )
        self.save()
        return NOTHING

    @operation(Access.READ_SYSTEM)
    async def get_password_history_configuration(self, request: Any, caller: Caller) -> Reply:
        history = self.state.password_policy.history
        return {"Enabled": history.enabled, "Length": max(1, history.length)}

    @operation(Access.WRITE_SYSTEM)
    async def set_password_history_configuration(self, request: Any, caller: Caller) -> Reply:
        self._refuse_if_locked()
        if not 1 <= request.Length <= MAX_PASSWORD_HISTORY:
            raise Fault.sender("ter:InvalidArgVal", reason=f"a history of {request.Length} passwords")
        self.state.password_policy.history = PasswordHistory(enabled=request.Enabled, length=request.Length)
        self.save()
        return NOTHING

    @operation(Access.READ_SYSTEM)
    async def get_auth_failure_warning_options(self, request: Any, caller: Caller) -> Reply:
        return {
            "MonitorPeriodRange": {"Min": 1, "Max": MAX_MONITOR_PERIOD_S},
            "AuthFailureRange": {"Min": 1, "Max": MAX_FAILURES},
        }

    @operation(Access.READ_SYSTEM)
    async def get_auth_failure_warning_configuration(self, request: Any, caller: Caller) -> Reply:
        warning = self.state.password_policy.failure_warning
        return {
            "Enabled": warning.enabled,
            "MonitorPeriod": warning.monitor_period_s,
            "MaxAuthFailures": warning.max_auth_failures,
        }

    @operation(Access.WRITE_SYSTEM)
    async def set_auth_failure_warning_configuration(self, request: Any, caller: Caller) -> Reply:
        period, failures = request.MonitorPeriod, request.MaxAuthFailures
        if not 1 <= period <= MAX_MONITOR_PERIOD_S or not 1 <= failures <= MAX_FAILURES:
            raise Fault.sender("ter:InvalidArgVal", reason="a period or a number out of its range")
        self.state.password_policy.failure_warning = AuthFailureWarning(
            enabled=request.Enabled, monitor_period_s=period, max_auth_failures=failures
        )
        self.save()
        return NOTHING

    def _refuse_if_locked(self) -> None:
        if self.state.password_policy.complexity.policy_configuration_locked:
            raise Fault.sender("ter:OperationProhibited", reason="the policies are locked until a factory default")
