"""GStreamer as a talker, run by the system's Python: plays an address and says a tone to its back channel.

Arguments: the address, the transport (`tcp` or `udp`), the tone's frequency, and the pipeline from sound to RTP.
Prints a line when its back channel is found, and plays until it is killed.
"""

# mypy: ignore-errors

import ctypes
import sys

import gi

gi.require_version("Gst", "1.0")
from gi.repository import GLib, Gst  # noqa: E402


def main() -> None:
    address, transport, frequency, payloader = sys.argv[1:5]
    Gst.init(None)
    library = ctypes.CDLL("libgstreamer-1.0.so.0")
    pipeline = Gst.Pipeline()
    source = Gst.ElementFactory.make("rtspsrc")
    for name, value in (("location", address), ("backchannel", "onvif"), ("protocols", transport)):
        Gst.util_set_object_arg(source, name, value)
    pipeline.add(source)
    voice = Gst.parse_launch(
        f"audiotestsrc is-live=true freq={frequency} ! {payloader} ! appsink name=out emit-signals=true"
    )
    talk = {"stream": -1}

    def select(_source, number, caps):
        if caps.get_structure(0).has_field("a-sendonly"):
            talk["stream"] = number
            print("back channel", caps.to_string(), flush=True)
        return True

    def take(_source, pad):
        if pad.get_direction() == Gst.PadDirection.SRC:
            sink = Gst.ElementFactory.make("fakesink")
            sink.set_property("sync", False)
            pipeline.add(sink)
            sink.sync_state_with_parent()
            pad.link(sink.get_static_pad("sink"))
        voice.set_state(Gst.State.PLAYING)

    def say(sink):
        sample = sink.emit("pull-sample")
        # GStreamer 1.22 gives away a reference that is not its own: it gets one (newer ones leave it alone).
        library.gst_mini_object_ref(ctypes.c_void_p(hash(sample)))
        return source.emit("push-backchannel-sample", talk["stream"], sample)

    source.connect("select-stream", select)
    source.connect("pad-added", take)
    voice.get_by_name("out").connect("new-sample", say)
    loop = GLib.MainLoop()
    bus = pipeline.get_bus()
    bus.add_signal_watch()
    bus.connect("message::error", lambda _bus, message: (print(message.parse_error()), loop.quit()))
    pipeline.set_state(Gst.State.PLAYING)
    loop.run()


if __name__ == "__main__":
    main()
