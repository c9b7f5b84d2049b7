"""The server inside another program, as the example has it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from support.ports import free_tcp_port
from support.programs import frame_digests, from_server, mono_samples, tone_level
from support.rtsp import RawRtsp
from support.waiting import wait_until

EXAMPLE = Path(__file__).parents[2] / "examples" / "embed.py"
HOST = "127.0.0.1"


def test_the_example_sends_its_own_sound_and_a_picture_on_demand(tmp_path: Path) -> None:
    port = free_tcp_port(HOST)
    process = subprocess.Popen([sys.executable, str(EXAMPLE), str(port)], cwd=tmp_path)
    try:

        def published() -> bool:
            assert process.poll() is None
            try:
                with RawRtsp.connect(HOST, port) as client:
                    return client.ask("DESCRIBE", "tone").status == 200
            except OSError:
                return False

        wait_until(published, "the example runs")
        samples = mono_samples(*from_server(f"rtsp://{HOST}:{port}/tone", "tcp"), seconds=1)
        assert tone_level(samples[1000:], 440) > 0.9
        assert len(frame_digests(*from_server(f"rtsp://{HOST}:{port}/pattern", "tcp"), "-frames:v", "10")) == 10
    finally:
        process.terminate()
        process.wait(timeout=20)
