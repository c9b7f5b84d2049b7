"""Makes the RTP vectors: runs real senders on the loopback and keeps what they send. See SOURCES.md.

A .rtp file holds packets in the order of arrival, each behind its length in two bytes, big-endian.
"""

import re
import shlex
import socket
import subprocess
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
IDLE_S = 1.0  # without a packet, once the sender has ended

VIDEO = "-f lavfi -i testsrc2=size=176x144:rate=25 -frames:v 26"
AUDIO = "-f lavfi -i sine=frequency=440:sample_rate={rate} -t 0.5"
H264 = f"{VIDEO} -c:v libx264 -pix_fmt yuv420p -preset medium -bf 2 -g 13"
H265 = f"{VIDEO} -c:v libx265 -pix_fmt yuv420p -x265-params keyint=13:bframes=2:log-level=none"
NOISE = "-f lavfi -i anoisesrc=sample_rate=48000:amplitude=0.9 -t 0.2"

# Coded once, so that what each sender sends can be compared to it: name, ffmpeg's arguments.
STREAMS = {
    "h264.mp4": H264,
    "h264_slices.mp4": f"{H264} -x264-params slices=4:aud=1",
    "h265.mp4": H265,
    "aac.mp4": f"{AUDIO.format(rate=44100)} -ac 2 -c:a aac -b:a 96k",
    "aac_mono_22050.mp4": f"{AUDIO.format(rate=22050)} -ac 1 -c:a aac -b:a 32k",
    "aac_5_1.mp4": f"{NOISE} -ac 6 -c:a aac -b:a 1200k",
}
# Elementary streams kept beside the packets.
KEPT = {
    "h264.h264": "-i h264.mp4 -c copy -bsf:v h264_mp4toannexb",
    "h264_slices.h264": "-i h264_slices.mp4 -c copy -bsf:v h264_mp4toannexb",
    "h265.h265": "-i h265.mp4 -c copy -bsf:v hevc_mp4toannexb",
    "aac.adts": "-i aac.mp4 -c copy",
    "aac_mono_22050.adts": "-i aac_mono_22050.mp4 -c copy",
    "aac_5_1.adts": "-i aac_5_1.mp4 -c copy",
}
FFMPEG = {
    "h264_ffmpeg": "-i h264.mp4 -c copy -bsf:v h264_mp4toannexb",
    "h264_out_of_band_ffmpeg": "-i h264.mp4 -c copy",
    "h264_slices_ffmpeg": "-i h264_slices.mp4 -c copy -bsf:v h264_mp4toannexb",
    "h264_mode0_ffmpeg": "-i h264_slices.mp4 -c copy -bsf:v h264_mp4toannexb -rtpflags h264_mode0",
    "h265_ffmpeg": "-i h265.mp4 -c copy -bsf:v hevc_mp4toannexb",
    "aac_ffmpeg": "-i aac.mp4 -c copy",
    "aac_mono_22050_ffmpeg": "-i aac_mono_22050.mp4 -c copy",
    "aac_5_1_ffmpeg": "-i aac_5_1.mp4 -c copy",
    "latm_ffmpeg": "-i aac.mp4 -c copy -rtpflags latm",
    "latm_5_1_ffmpeg": "-i aac_5_1.mp4 -c copy -rtpflags latm",
    "opus_mono_ffmpeg": f"{AUDIO.format(rate=48000)} -ac 1 -c:a libopus -b:a 24k",
    "opus_stereo_ffmpeg": f"{AUDIO.format(rate=48000)} -ac 2 -c:a libopus -b:a 32k",
    "pcmu_ffmpeg": f"{AUDIO.format(rate=8000)} -c:a pcm_mulaw",
    "pcma_16000_stereo_ffmpeg": f"{AUDIO.format(rate=16000)} -ac 2 -c:a pcm_alaw",
}
GSTREAMER = {
    "h264_gstreamer": "filesrc location=h264.mp4 ! qtdemux ! h264parse ! rtph264pay config-interval=-1 mtu=1400",
    "h264_aggregate_gstreamer": "filesrc location=h264_slices.mp4 ! qtdemux ! h264parse"
    " ! rtph264pay config-interval=-1 aggregate-mode=zero-latency mtu=1400",
    "h265_gstreamer": "filesrc location=h265.mp4 ! qtdemux ! h265parse ! rtph265pay config-interval=-1 mtu=1400",
    "aac_gstreamer": "filesrc location=aac.mp4 ! qtdemux ! aacparse ! rtpmp4gpay mtu=1400",
    "aac_5_1_gstreamer": "filesrc location=aac_5_1.mp4 ! qtdemux ! aacparse ! rtpmp4gpay mtu=1400",
    "latm_gstreamer": "filesrc location=aac.mp4 ! qtdemux ! aacparse ! rtpmp4apay mtu=1400",
    "latm_5_1_gstreamer": "filesrc location=aac_5_1.mp4 ! qtdemux ! aacparse ! rtpmp4apay mtu=1400",
    "pcma_gstreamer": "audiotestsrc num-buffers=8 ! audio/x-raw,rate=8000,channels=1 ! alawenc ! rtppcmapay",
    "opus_gstreamer": "audiotestsrc num-buffers=10 ! audio/x-raw,rate=48000,channels=2 ! opusenc ! rtpopuspay",
}


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        for name, arguments in STREAMS.items():
            ffmpeg(f"{arguments} {name}", folder)
        for name, arguments in KEPT.items():
            ffmpeg(f"{arguments} {HERE / name}", folder)
        for name, arguments in FFMPEG.items():
            record(name, arguments, folder, from_ffmpeg)
        for name, arguments in GSTREAMER.items():
            record(name, arguments, folder, from_gstreamer)


def ffmpeg(arguments: str, folder: str) -> str:
    command = ["ffmpeg", "-v", "error", "-nostdin", "-y", *shlex.split(arguments)]
    return subprocess.run(command, cwd=folder, check=True, stdout=subprocess.PIPE, text=True).stdout


def record(name: str, arguments: str, folder: str, send: object) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
        receiver.bind(("127.0.0.1", 0))
        receiver.settimeout(IDLE_S)
        assert callable(send)
        description = send(arguments, folder, receiver.getsockname()[1])
        packets = []
        try:
            while True:
                packets.append(receiver.recv(65536))
        except TimeoutError:
            pass
    (HERE / f"{name}.rtp").write_bytes(b"".join(len(p).to_bytes(2, "big") + p for p in packets))
    (HERE / f"{name}.sdp").write_text(description)


def from_ffmpeg(arguments: str, folder: str, port: int) -> str:
    url = f"rtp://127.0.0.1:{port}?rtcpport={port + 1}&pkt_size=1400"
    return ffmpeg(f"{arguments} -flags +bitexact -f rtp '{url}'", folder).removeprefix("SDP:\n")


def from_gstreamer(arguments: str, folder: str, port: int) -> str:
    command = f"gst-launch-1.0 -v {arguments} ! udpsink name=out host=127.0.0.1 port={port} sync=false"
    output = subprocess.run(shlex.split(command), cwd=folder, check=True, stdout=subprocess.PIPE, text=True).stdout
    caps = re.findall(r"GstUDPSink:out\.GstPad:sink: caps = (.*)", output)[-1]
    fields = dict(re.findall(r"([\w-]+)=\(\w+\)((?:\\.|[^,;\\]|(?<=\\),)+)", caps))
    fields = {name: re.sub(r"\\(.)", r"\1", value).strip('"') for name, value in fields.items()}
    rtpmap = "/".join(fields[name] for name in ("encoding-name", "clock-rate", "encoding-params") if name in fields)
    payload_type = fields["payload"]
    known = {"media", "payload", "clock-rate", "encoding-name", "encoding-params", "ssrc", "a-framerate"}
    known |= {"timestamp-offset", "seqnum-offset", "packetization-supported"}
    fmtp = ";".join(f"{name}={value}" for name, value in fields.items() if name not in known)
    return f"m={fields['media']} {port} RTP/AVP {payload_type}\na=rtpmap:{payload_type} {rtpmap}\n" + (
        f"a=fmtp:{payload_type} {fmtp}\n" if fmtp else ""
    )


if __name__ == "__main__":
    main()
