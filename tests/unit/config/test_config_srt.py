"""What a configuration says of SRT, and what the server makes of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from manycast.app.plan import Overrides, make_plan
from manycast.config import ConfigurationError

from .documents import load_text

FULL = """<config>
  <user><username>admin</username><password>geheim</password></user>
  <srt>
    <serverip>127.0.0.1</serverip><serverport>9000</serverport><latency>300</latency><need_auth>1</need_auth>
    <passphrase>geheimgeheim</passphrase><passphrase_required>0</passphrase_required><keylength>192</keylength>
    <stream><name>live/cam</name><passphrase>ganz-anderes</passphrase></stream>
    <maxbw>8000</maxbw><overhead>30</overhead><payload_size>752</payload_size>
  </srt>
  <limits><max_sessions>7</max_sessions></limits>
</config>"""


def test_everything_reaches_the_server(tmp_path: Path) -> None:
    plan = make_plan(load_text(tmp_path, FULL), Overrides())
    assert plan.srt is not None
    assert (plan.srt.addresses, plan.srt.port, plan.srt.udp) == (("127.0.0.1",), 9000, True)
    options = plan.srt_options
    assert options.users == {"admin": "geheim"}
    assert (options.latency_ms, options.key_bits, plan.limits.max_sessions) == (300, 192, 7)
    assert (options.max_bandwidth_bps, options.overhead_percent, options.payload_packets) == (8_000_000, 30, 4)
    assert not options.passphrase_required
    assert options.passphrase_for("live/cam") == "ganz-anderes"
    assert options.passphrase_for("live/other") == "geheimgeheim"
    assert "geheim" not in repr(options)
    assert "anderes" not in repr(options)


def test_without_a_word_about_it(tmp_path: Path) -> None:
    plan = make_plan(load_text(tmp_path, "<config></config>"), Overrides())
    assert plan.srt is not None
    assert plan.srt.port == 8080
    options = plan.srt_options
    assert (options.passphrase, options.users, options.max_bandwidth_bps) == (None, None, 0)
    assert (options.latency_ms, options.payload_packets) == (120, 7)


def test_the_command_line_wins(tmp_path: Path) -> None:
    loaded = load_text(tmp_path, "<config></config>")
    assert make_plan(loaded, Overrides(srt_port=0)).srt is None
    plan = make_plan(loaded, Overrides(srt_port=7777))
    assert plan.srt is not None
    assert (plan.srt.port, plan.srt.required) == (7777, True)


@pytest.mark.parametrize(
    "line",
    [
        "<payload_size>1315</payload_size>",
        "<payload_size>0</payload_size>",
        "<keylength>64</keylength>",
        "<overhead>1</overhead>",
        "<stream><name>live/cam</name><passphrase>short</passphrase></stream>",
        "<stream><passphrase>geheimgeheim</passphrase></stream>",
    ],
)
def test_mistakes_are_named(tmp_path: Path, line: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        load_text(tmp_path, f"<config><srt>{line}</srt></config>")
    assert "srt" in str(refused.value)
    assert "short" not in str(refused.value)
