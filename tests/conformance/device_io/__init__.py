"""ONVIF Device IO Device Test Specification: relay outputs and digital inputs."""

from conformance.device_io import inputs, others, relay_outputs, relay_states  # noqa: F401 - each adds its cases
from conformance.device_io.features import SPECIFICATION

__all__ = ["SPECIFICATION"]
