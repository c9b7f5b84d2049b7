#!/usr/bin/python3
"""Speak to a stream: plays it by GStreamer, silently, and says something to its ONVIF back channel.

On Debian: apt-get install python3-gi gir1.2-gstreamer-1.0 gstreamer1.0-plugins-good gstreamer1.0-libav

    speak.py rtsp://localhost:8554/door                                           what the microphone hears
    speak.py rtsp://localhost:8554/door --source 'filesrc location=hello.wav ! decodebin'
    speak.py rtsp://localhost:8554/door --source 'audiotestsrc is-live=true freq=700' --codec OPUS
"""

import argparse
import ctypes
import signal
import sys

import gi

gi.require_version("Gst", "1.0")
from gi.repository import GLib, Gst  # noqa: E402

CODECS = {  # rate, encoder and payloader, with the payload types that Manycast offers
    "PCMU": (8000, "mulawenc ! rtppcmupay"),
    "PCMA": (8000, "alawenc ! rtppcmapay"),
    "G722": (16000, "avenc_g722 ! rtpg722pay"),
    "G726": (8000, "avenc_g726 bitrate=32000 ! rtpg726pay pt=99 force-aal2=false"),
    "OPUS": (48000, "opusenc ! rtpopuspay pt=101"),
}


class Speaker:
    def __init__(self, address: str, transport: str, source: str, codec: str) -> None:
        rate_hz, coding = CODECS[codec]
        self._loop = GLib.MainLoop()
        self._library = ctypes.CDLL("libgstreamer-1.0.so.0")
        self._stream = None
        self._fault = None
        self._player = Gst.Pipeline()
        self._rtsp = Gst.ElementFactory.make("rtspsrc")
        for name, value in (("location", address), ("backchannel", "onvif"), ("protocols", transport)):
            Gst.util_set_object_arg(self._rtsp, name, value)
        self._player.add(self._rtsp)
        self._voice = Gst.parse_launch(
            f"{source} ! audioconvert ! audioresample ! audio/x-raw,rate={rate_hz},channels=1 "
            f"! {coding} max-ptime=20000000 ! appsink name=out emit-signals=true"
        )
        self._rtsp.connect("select-stream", self._select)
        self._rtsp.connect("pad-added", self._begin)
        self._voice.get_by_name("out").connect("new-sample", self._say)
        for pipeline in (self._player, self._voice):
            bus = pipeline.get_bus()
            bus.add_signal_watch()
            bus.connect("message::error", self._failed)
            bus.connect("message::eos", lambda _bus, _message: self._loop.quit())

    def run(self) -> str | None:
        """Speak until either side comes to its end; returns what went wrong."""
        for number in (signal.SIGINT, signal.SIGTERM):
            GLib.unix_signal_add(GLib.PRIORITY_DEFAULT, number, self._loop.quit)
        self._player.set_state(Gst.State.PLAYING)
        self._loop.run()
        self._voice.set_state(Gst.State.NULL)
        self._player.set_state(Gst.State.NULL)
        return self._fault

    def _select(self, _source, number, caps):
        if caps.get_structure(0).has_field("a-sendonly"):
            self._stream = number
        return True

    def _begin(self, _source, pad):
        if pad.get_direction() == Gst.PadDirection.SRC:
            sink = Gst.ElementFactory.make("fakesink")
            sink.set_property("sync", False)
            self._player.add(sink)
            sink.sync_state_with_parent()
            pad.link(sink.get_static_pad("sink"))
        self._voice.set_state(Gst.State.PLAYING)

    def _say(self, sink):
        sample = sink.emit("pull-sample")
        # GStreamer 1.22 gives away a reference that is not its own, so it gets one more.
        self._library.gst_mini_object_ref(ctypes.c_void_p(hash(sample)))
        return self._rtsp.emit("push-backchannel-sample", self._stream, sample)

    def _failed(self, _bus, message):
        fault = message.parse_error()
        details = (fault.debug or "").splitlines()[-1:]  # the server's answer, such as 453: somebody else speaks
        self._fault = " ".join([fault.gerror.message, *details])
        self._loop.quit()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("address")
    parser.add_argument("--transport", choices=("tcp", "udp"), default="tcp")
    parser.add_argument("--source", default="autoaudiosrc", help="what is said: a GStreamer source")
    parser.add_argument("--codec", choices=CODECS, default="PCMU")
    arguments = parser.parse_args()
    Gst.init(None)
    fault = Speaker(arguments.address, arguments.transport, arguments.source, arguments.codec).run()
    if fault:
        print(fault, file=sys.stderr)
    return 1 if fault else 0


if __name__ == "__main__":
    sys.exit(main())
