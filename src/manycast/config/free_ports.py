"""Ports that no file names give way to those that are taken."""

from __future__ import annotations

from dataclasses import replace
from itertools import count

from manycast.config.checks.ports import listeners
from manycast.config.subject import Subject

# In this order. HTTPS gives way to ONVIF only: that its port is taken by another is a mistake as ever.
_GIVE_WAY = (("https", "serverport"), ("onvif", "http_port"), ("onvif", "https_port"))


def with_free_ports(subject: Subject) -> Subject:
    """The settings with ONVIF's ports and the others apart, where no file names them."""
    for group, field in _GIVE_WAY:
        if subject.written(group, field) or (group == "onvif" and subject.settings.onvif.devices):
            continue
        others = [one for one in listeners(subject) if one.protocol == "TCP" and one.path != (group, field)]
        in_the_way = {one.port for one in others if group == "onvif" or one.path[0] == "onvif"}
        block = getattr(subject.settings, group)
        if getattr(block, field) in in_the_way:
            taken = {one.port for one in others}
            port = next(port for port in count(getattr(block, field)) if port not in taken)
            settings = subject.settings.model_copy(update={group: block.model_copy(update={field: port})})
            subject = replace(subject, settings=settings)
    return subject
