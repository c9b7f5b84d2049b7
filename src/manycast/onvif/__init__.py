"""Manycast as an ONVIF device."""
