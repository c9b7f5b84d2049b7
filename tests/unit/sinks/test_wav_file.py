"""Talks recorded as WAV files."""

from __future__ import annotations

import errno
import wave
from pathlib import Path

import pytest
from support.programs import tone_level
from support.speech import TONE_HZ, loudest, read_wav, spoken_tone, tone

from manycast.hub.backchannel import audio_track
from manycast.media.frame import Frame
from manycast.media.track import Codec, Track
from manycast.sinks import wav_file
from manycast.sinks.ear import OutletFailed
from manycast.sinks.wav_file import WavOutlet, WavRecorder

PCMU = audio_track(Codec.G711U)


def only_file(folder: Path) -> Path:
    (found,) = folder.iterdir()
    return found


def record(folder: Path, path: str, track: Track, packets: list[bytes]) -> None:
    recorder = WavRecorder(folder)
    ear = recorder.ear(path, "somebody")
    for packet in packets:
        ear.hear(track, Frame(track_index=0, dts_ticks=0, pts_ticks=0, keyframe=True, units=[packet]))
    ear.end()
    ear.join()


@pytest.mark.parametrize(
    ("track", "rate_hz"), [(PCMU, 8000), (audio_track(Codec.G722), 16_000), (audio_track(Codec.OPUS), 48_000)]
)
def test_a_talk_is_recorded_as_it_was_said(tmp_path: Path, track: Track, rate_hz: int) -> None:
    folder = tmp_path / "new" / "folder"
    record(folder, "front/door", track, spoken_tone(track, 1.0))
    file = only_file(folder)
    assert file.name.startswith("front_door_")
    rate, channels, samples = read_wav(file)
    assert (rate, channels) == (rate_hz, 1)
    assert len(samples) == pytest.approx(rate_hz, rel=0.03)
    assert tone_level(samples[rate_hz // 10 :], TONE_HZ, rate_hz) > 0.95


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    for _ in range(3):
        record(tmp_path, "door", PCMU, [bytes(160)])
    names = sorted(file.name for file in tmp_path.iterdir())
    assert len(names) == 3
    assert all(read_wav(tmp_path / name)[2] for name in names)


@pytest.mark.parametrize("path", ["../../etc/passwd", "/", "", "a\x00b", ".hidden", "x" * 500, "Tür"])
def test_names_stay_within_the_folder(tmp_path: Path, path: str) -> None:
    folder = tmp_path / "in"
    record(folder, path, PCMU, [bytes(160)])
    assert list(tmp_path.iterdir()) == [folder]
    assert not only_file(folder).name.startswith(".")


def test_the_header_is_right_before_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wav_file, "HEADER_INTERVAL_S", 0.0)
    outlet = WavOutlet(tmp_path, "door", rate_hz=8000, channels=1)
    file = only_file(tmp_path)
    assert read_wav(file)[2] == []
    samples = tone(8000, 0.5)
    outlet.write(samples.tobytes(), 100.0)
    assert read_wav(file)[2] == list(samples)
    outlet.write(samples.tobytes(), 100.5)
    assert read_wav(file)[2] == [*samples, *samples]
    outlet.close()


def test_pauses_are_silence(tmp_path: Path) -> None:
    outlet = WavOutlet(tmp_path, "door", rate_hz=8000, channels=2)
    word = bytes([1, 1]) * 2 * 800  # 0.1 s
    outlet.write(word, 50.0)
    outlet.write(word, 50.4)  # the network's hesitation
    outlet.write(word, 53.0)
    outlet.close()
    with wave.open(str(only_file(tmp_path))) as file:
        assert file.getnchannels() == 2
        assert file.getnframes() == 24_000 + 800
    _rate, _channels, samples = read_wav(only_file(tmp_path))
    assert loudest(samples[:1600]) == loudest(samples[24_000:]) == 257
    assert loudest(samples[1600:24_000]) == 0


def test_a_file_that_would_be_too_large_is_followed_by_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wav_file, "MAX_DATA_BYTES", 10_000)
    outlet = WavOutlet(tmp_path, "door", rate_hz=8000, channels=1)
    for number in range(5):
        outlet.write(bytes(4000), number * 0.25)
    outlet.close()
    sizes = sorted(len(read_wav(file)[2]) for file in tmp_path.iterdir())
    assert sizes == [2000, 4000, 4000]


def test_a_folder_that_cannot_be_written_is_told_once_a_talk(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").write_text("in the way")
    record(tmp_path / "file", "door", PCMU, [bytes(160)] * 3)
    (message,) = [record.getMessage() for record in caplog.records]
    assert "is not recorded" in message
    assert "File exists" in message


def test_a_full_disk_ends_the_recording(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def write(_file: object, _data: bytes) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    outlet = WavOutlet(tmp_path, "door", rate_hz=8000, channels=1)
    monkeypatch.setattr(wav_file._WavFile, "write", write)
    with pytest.raises(OutletFailed, match=r"door_.*\.wav: No space left on device; nothing more is recorded"):
        outlet.write(bytes(320), 1.0)
    outlet.close()
    assert read_wav(only_file(tmp_path))[2] == []
