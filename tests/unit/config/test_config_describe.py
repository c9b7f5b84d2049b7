"""The configuration as understood."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from manycast.config import Settings, describe, load
from manycast.config.describe import to_yaml
from manycast.config.onvif_devices import completed
from manycast.config.schema.base import Group
from manycast.config.schema.fields import FieldSpec, fields_of
from manycast.config.schema.rules import (
    AddressRule,
    MacRule,
    NameRule,
    Number,
    OneNumberOf,
    PathNameRule,
    PathRule,
    Rule,
    ScopeRule,
    SecretRule,
    StreamAddressRule,
    SuffixRule,
    SwitchRule,
    TextRule,
    WordRule,
)
from manycast.config.schema.values import AudioCodec

from .documents import EXAMPLES, load_text


def test_every_value_is_shown_but_no_password(tmp_path: Path) -> None:
    text = """
        <config>
        <srt><passphrase>hunter2hunter2</passphrase></srt>
        <user><username>Zoë</username><password>hunter2</password></user>
        <application>
          <proxy><url>rtsp://u:hunter2@host/?pass=hunter2</url><pass>hunter2</pass></proxy>
        </application>
        </config>
        """
    shown = describe(load_text(tmp_path, text).settings)
    assert "hunter2" not in shown
    plain = yaml.safe_load(shown)
    assert plain["users"] == [{"username": "Zoë", "password": "***"}]
    assert plain["applications"][0]["proxies"][0]["url"] == "rtsp://***@host/?pass=***"
    assert plain["rtsp"]["serverport"] == 554
    assert "Zoë" in shown


def test_what_is_shown_reads_back_as_the_same(tmp_path: Path) -> None:
    for path in EXAMPLES.iterdir():
        shown = to_yaml(load([path]).settings, reveal=True)
        assert load_text(tmp_path, shown).settings == load([path]).settings, path


_PRINTABLE = st.text(st.characters(codec="utf-8", categories=("L", "N", "P", "S", "Zs"))).filter(str.isprintable)
_NAMES = _PRINTABLE.map(str.strip).filter(lambda name: 0 < len(name) < 50 and name not in (".", ".."))
_PATH_NAMES = _NAMES.filter(lambda name: not set(name) & set("/\\?#%"))
_CAPTURES = ("videodevice", "audiodevice", "screenlive", "window=")


def _leaf(rule: Rule) -> st.SearchStrategy[Any]:
    """Values a rule allows, as a file would have them or as their own Python type."""
    match rule:
        case Number(low=low, high=high):
            return st.integers(low, high)
        case OneNumberOf(numbers=numbers):
            return st.sampled_from(numbers)
        case SwitchRule():
            return st.booleans()
        case WordRule(members=members):
            return st.sampled_from(members)
        case SecretRule(min_chars=least, max_chars=most):
            return _PRINTABLE.map(lambda text: text + "x" * least).filter(lambda text: len(text) <= most)
        case AddressRule():
            return st.sampled_from(["127.0.0.1", "::1", "example.org"]) | st.ip_addresses().map(str)
        case StreamAddressRule(schemes=schemes):
            return st.sampled_from(schemes).map(lambda scheme: f"{scheme}://user:pw@host:7/a?b=c&pass=d")
        case PathNameRule():
            return st.lists(_PATH_NAMES, min_size=1, max_size=2).map("/".join)
        case ScopeRule():
            return st.sampled_from(["onvif://www.onvif.org/name/a%20b", "ldap:///ou=x", "urn:a"])
        case MacRule():
            return st.binary(min_size=6, max_size=6).map(lambda octets: octets.hex(":"))
        case NameRule():
            return st.just("") | _PATH_NAMES
        case SuffixRule():
            return (
                st.lists(_PATH_NAMES, min_size=1, max_size=2)
                .map("/".join)
                .filter(lambda it: not it.startswith(_CAPTURES))
            )
        case PathRule():
            return _PATH_NAMES.map(lambda name: f"/srv/{name}")
        case TextRule(forbidden=forbidden):
            return _NAMES.filter(lambda text: not set(text) & set(forbidden))
    raise AssertionError(rule)


def _field(spec: FieldSpec) -> st.SearchStrategy[Any]:
    if spec.group is not None:
        inner = _group(spec.group)
        return st.lists(inner, max_size=3) if spec.many else inner
    assert spec.rule is not None
    leaf = _leaf(spec.rule)
    return st.lists(leaf, max_size=3) if spec.many else leaf


def _group(model: type[Group]) -> st.SearchStrategy[dict[str, Any]]:
    specs = fields_of(model)
    return st.fixed_dictionaries(
        {spec.field: _field(spec) for spec in specs if spec.required},
        optional={spec.field: _field(spec) for spec in specs if not spec.required},
    )


def _with_distinct(plain: dict[str, Any]) -> Settings:
    """Settings from generated values, on ports and under names that do not clash."""
    for offset, name in enumerate(("http", "https", "rtsp", "rtsps", "rtmp", "srt")):
        plain.setdefault(name, {})["serverport"] = 1000 + offset
    for name in ("http", "https", "rtsp"):
        plain[name]["enable"] = True
    port = 2000
    for index, application in enumerate(plain.setdefault("applications", [])):
        application["name"] = f"{application.get('name', '')}{index}"
        for pusher in application.get("pushers", []):
            pusher.setdefault("transfer", {}).update({"vport": port, "aport": port + 1})
            port += 2
    for index, user in enumerate(plain.get("users", [])):
        user["username"] += str(index)
    _make_devices_distinct(plain.setdefault("onvif", {}))
    _make_g726_mono(plain)
    plain["applications"] = plain["applications"] or [{}]
    plain["media_folder"] = "/srv/media"
    plain.setdefault("https", {}).update({"cert_file": "/srv/cert", "key_file": "/srv/key"})
    made = Settings.model_validate(plain)
    return made.model_copy(update={"onvif": completed(made.onvif)})


def _make_devices_distinct(onvif: dict[str, Any]) -> None:
    for number, device in enumerate([onvif, *onvif.setdefault("devices", [])]):
        device.update({"http_port": 500 + 2 * number, "https_port": 501 + 2 * number})
        device.update({"mac": f"02:00:00:00:00:{number:02x}", "runtime_file": f"/srv/{number}.cfg"})
        device.update({"cert_file": "/srv/cert", "key_file": "/srv/key"})
        if onvif["devices"]:
            device["apply_network"] = False  # several have no network for themselves
        device.setdefault("information", {})["SerialNumber"] = f"serial {number}"
        for index, user in enumerate(device.get("users", [])):
            user["username"] += str(index)


def _make_g726_mono(plain: Any) -> None:
    if isinstance(plain, list):
        for item in plain:
            _make_g726_mono(item)
    elif isinstance(plain, dict):
        if "channels" in plain and plain.get("codec") == AudioCodec.G726:
            plain["channels"] = 1
        for item in plain.values():
            _make_g726_mono(item)


@settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large], deadline=None, max_examples=60)
@given(_group(Settings))
def test_generated_settings_read_back_as_the_same(plain: dict[str, Any]) -> None:
    generated = _with_distinct(plain)
    with tempfile.NamedTemporaryFile(suffix=".yaml") as file:
        file.write(to_yaml(generated, reveal=True).encode())
        file.flush()
        assert load([Path(file.name)]).settings == generated
