"""Makes the RTP vectors: runs real senders on the loopback and keeps what they send. See SOURCES.md.

A .rtp file holds packets in the order of arrival, each behind its length in two bytes, big-endian.
"""

import re
import shlex
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import av

HERE = Path(__file__).parent
IDLE_S = 1.0  # without a packet, once the sender has ended

VIDEO = "-f lavfi -i testsrc2=size=176x144:rate=25 -frames:v 26"
AUDIO = "-f lavfi -i sine=frequency=440:sample_rate={rate} -t 0.5"
SHORT = "-f lavfi -i testsrc2=size=176x144:rate=25 -frames:v 15"
PHOTOS = "-f lavfi -i testsrc2=size=176x144:rate=25 -frames:v 4"
H264 = f"{VIDEO} -c:v libx264 -pix_fmt yuv420p -preset medium -bf 2 -g 13"
H265 = f"{VIDEO} -c:v libx265 -pix_fmt yuv420p -x265-params keyint=13:bframes=2:log-level=none"
TEST_TONE = "audiotestsrc num-buffers=8 ! audio/x-raw"
NOISE = "-f lavfi -i anoisesrc=sample_rate=48000:amplitude=0.9 -t 0.2"

# Coded once, so that what each sender sends can be compared to it: name, ffmpeg's arguments.
STREAMS = {
    "h264.mp4": H264,
    "h264_slices.mp4": f"{H264} -x264-params slices=4:aud=1",
    "h265.mp4": H265,
    "aac.mp4": f"{AUDIO.format(rate=44100)} -ac 2 -c:a aac -b:a 96k",
    "aac_mono_22050.mp4": f"{AUDIO.format(rate=22050)} -ac 1 -c:a aac -b:a 32k",
    "aac_5_1.mp4": f"{NOISE} -ac 6 -c:a aac -b:a 1200k",
    "sound.mp3": f"{AUDIO.format(rate=44100)} -ac 2 -c:a libmp3lame -b:a 128k -write_xing 0 -id3v2_version 0",
    "sound_32000.mp2": f"{AUDIO.format(rate=32000)} -ac 2 -c:a mp2 -b:a 384k",
    "sound.ac3": f"{AUDIO.format(rate=48000)} -ac 2 -c:a ac3 -b:a 96k",
    "sound_640k.ac3": f"{NOISE} -ac 6 -c:a ac3 -b:a 640k",
    "mpeg4.mkv": f"{SHORT} -c:v mpeg4 -q:v 14 -bf 2 -g 8",
    "mpeg1.mkv": f"{SHORT} -c:v mpeg1video -q:v 14 -g 8",
    "mpeg2.mkv": f"{SHORT} -c:v mpeg2video -q:v 8 -bf 2 -g 8",
    "mjpeg.mkv": f"{PHOTOS} -c:v mjpeg -pix_fmt yuvj420p -huffman default -q:v 4",
    "mjpeg_restarts.mkv": f"{PHOTOS} -c:v mjpeg -pix_fmt yuvj420p -huffman default -q:v 6"
    " -threads 3 -thread_type slice",
    "vp8.mkv": f"{SHORT} -c:v libvpx -b:v 300k -g 8 -deadline realtime",
    "vp9.mkv": f"{SHORT} -c:v libvpx-vp9 -b:v 300k -g 8 -deadline realtime",
    "av1.mkv": f"{SHORT} -c:v libaom-av1 -b:v 300k -g 8 -usage realtime -cpu-used 8",
    "theora.mkv": f"{SHORT} -c:v libtheora -b:v 300k -g 8",
    "vorbis.mkv": f"{NOISE} -ac 2 -c:a libvorbis -b:a 160k",
}
# Coded by GStreamer, for want of an encoder in FFmpeg; it writes no magic number (RFC 4867 section 5.1).
SPEECH = {
    "speech.amr": (
        b"#!AMR\n",
        "audiotestsrc num-buffers=75 samplesperbuffer=160 freq=440 ! audio/x-raw,rate=8000 ! amrnbenc",
    ),
    "speech_wb.amr": (
        b"#!AMR-WB\n",
        "audiotestsrc num-buffers=75 samplesperbuffer=320 freq=440 ! audio/x-raw,rate=16000 ! voamrwbenc",
    ),
}
# Elementary streams kept beside the packets.
KEPT = {
    "h264.h264": "-i h264.mp4 -c copy -bsf:v h264_mp4toannexb",
    "h264_slices.h264": "-i h264_slices.mp4 -c copy -bsf:v h264_mp4toannexb",
    "h265.h265": "-i h265.mp4 -c copy -bsf:v hevc_mp4toannexb",
    "aac.adts": "-i aac.mp4 -c copy",
    "aac_mono_22050.adts": "-i aac_mono_22050.mp4 -c copy",
    "aac_5_1.adts": "-i aac_5_1.mp4 -c copy",
    "sound.mp3": "-i sound.mp3 -c copy -write_xing 0 -id3v2_version 0",
    "sound_32000.mp2": "-i sound_32000.mp2 -c copy",
    "sound.ac3": "-i sound.ac3 -c copy",
    "sound_640k.ac3": "-i sound_640k.ac3 -c copy",
    "speech.amr": "-i speech.amr -c copy",
    "speech_wb.amr": "-i speech_wb.amr -c copy",
    "mpeg4.mkv": "-i mpeg4.mkv -c copy -fflags +bitexact",
    "mpeg1.mkv": "-i mpeg1.mkv -c copy -fflags +bitexact",
    "mpeg2.mkv": "-i mpeg2.mkv -c copy -fflags +bitexact",
    "mjpeg.mkv": "-i mjpeg.mkv -c copy -fflags +bitexact",
    "mjpeg_restarts.mkv": "-i mjpeg_restarts.mkv -c copy -fflags +bitexact",
    "vp8.mkv": "-i vp8.mkv -c copy -fflags +bitexact",
    "vp9.mkv": "-i vp9.mkv -c copy -fflags +bitexact",
    "av1.mkv": "-i av1.mkv -c copy -fflags +bitexact",
    "theora.mkv": "-i theora.mkv -c copy -fflags +bitexact",
    "vorbis.mkv": "-i vorbis.mkv -c copy -fflags +bitexact",
    "g722.g722": f"{AUDIO.format(rate=16000)} -c:a g722",
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
    "mp3_ffmpeg": "-i sound.mp3 -c copy",
    "mp2_32000_384k_ffmpeg": "-i sound_32000.mp2 -c copy",
    "mpegts_ffmpeg": "-i h264.mp4 -c copy -f rtp_mpegts",
    "g722_ffmpeg": f"{AUDIO.format(rate=16000)} -c:a g722",
    "g726_16_ffmpeg": f"{AUDIO.format(rate=8000)} -c:a g726le -b:a 16k",
    "g726_24_ffmpeg": f"{AUDIO.format(rate=8000)} -c:a g726le -b:a 24k",
    "g726_32_ffmpeg": f"{AUDIO.format(rate=8000)} -c:a g726le -b:a 32k",
    "g726_40_ffmpeg": f"{AUDIO.format(rate=8000)} -c:a g726le -b:a 40k",
    "aal2_g726_16_ffmpeg": f"{AUDIO.format(rate=8000)} -c:a g726 -b:a 16k",
    "aal2_g726_24_ffmpeg": f"{AUDIO.format(rate=8000)} -c:a g726 -b:a 24k",
    "aal2_g726_32_ffmpeg": f"{AUDIO.format(rate=8000)} -c:a g726 -b:a 32k",
    "aal2_g726_40_ffmpeg": f"{AUDIO.format(rate=8000)} -c:a g726 -b:a 40k",
    "l16_44100_stereo_ffmpeg": "-f lavfi -i sine=frequency=440:sample_rate=44100 -t 0.1 -ac 2 -c:a pcm_s16be",
    "l16_48000_ffmpeg": "-f lavfi -i sine=frequency=440:sample_rate=48000 -t 0.1 -ac 1 -c:a pcm_s16be",
    "amr_ffmpeg": "-i speech.amr -c copy",
    "amr_wb_ffmpeg": "-i speech_wb.amr -c copy",
    "mpeg4_ffmpeg": "-i mpeg4.mkv -c copy",
    "mpeg1_ffmpeg": "-i mpeg1.mkv -c copy",
    "mpeg2_ffmpeg": "-i mpeg2.mkv -c copy",
    "mjpeg_ffmpeg": "-i mjpeg.mkv -c copy",
    "vp8_ffmpeg": "-i vp8.mkv -c copy",
    "vp9_ffmpeg": "-i vp9.mkv -c copy -strict experimental",
    "theora_ffmpeg": "-i theora.mkv -c copy",
    "vorbis_ffmpeg": "-i vorbis.mkv -c copy",
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
    "mp3_gstreamer": "filesrc location=sound.mp3 ! mpegaudioparse ! rtpmpapay mtu=1400",
    "mp2_32000_384k_gstreamer": "filesrc location=sound_32000.mp2 ! mpegaudioparse ! rtpmpapay mtu=1400",
    "mpegts_gstreamer": "filesrc location=h264.mp4 ! qtdemux ! h264parse ! mpegtsmux alignment=7 ! rtpmp2tpay mtu=1400",
    "ac3_gstreamer": "filesrc location=sound.ac3 ! ac3parse ! rtpac3pay mtu=1400",
    "ac3_640k_gstreamer": "filesrc location=sound_640k.ac3 ! ac3parse ! rtpac3pay mtu=1400",
    "g722_gstreamer": f"{TEST_TONE},rate=16000,channels=1 ! avenc_g722 ! rtpg722pay",
    "g726_32_gstreamer": f"{TEST_TONE},rate=8000,channels=1 ! avenc_g726 bitrate=32000 ! rtpg726pay force-aal2=false",
    "g726_32_default_gstreamer": f"{TEST_TONE},rate=8000,channels=1 ! avenc_g726 bitrate=32000 ! rtpg726pay",
    "l16_44100_stereo_gstreamer": f"{TEST_TONE},rate=44100,channels=2 ! rtpL16pay mtu=1400",
    "amr_gstreamer": "filesrc location=speech.amr ! amrparse ! rtpamrpay",
    "amr_wb_gstreamer": "filesrc location=speech_wb.amr ! amrparse ! rtpamrpay",
    "mpeg4_gstreamer": "filesrc location=mpeg4.mkv ! matroskademux ! mpeg4videoparse ! rtpmp4vpay mtu=1400",
    "mpeg4_in_band_gstreamer": "filesrc location=mpeg4.mkv ! matroskademux ! mpeg4videoparse config-interval=-1"
    " ! rtpmp4vpay config-interval=-1 mtu=1400",
    "mpeg2_gstreamer": "filesrc location=mpeg2.mkv ! matroskademux ! mpegvideoparse ! rtpmpvpay mtu=1400",
    "mjpeg_gstreamer": "filesrc location=mjpeg.mkv ! matroskademux ! jpegparse ! rtpjpegpay mtu=1400",
    "mjpeg_restarts_gstreamer": "filesrc location=mjpeg_restarts.mkv ! matroskademux ! jpegparse ! rtpjpegpay mtu=1400",
    "mjpeg_q50_gstreamer": "videotestsrc num-buffers=2 ! video/x-raw,width=160,height=120,format=I420"
    " ! jpegenc quality=50 ! rtpjpegpay quality=50 mtu=1400",
    "mjpeg_422_gstreamer": "videotestsrc num-buffers=2 ! video/x-raw,width=160,height=120,format=Y42B"
    " ! jpegenc ! rtpjpegpay mtu=1400",
    "vp8_gstreamer": "filesrc location=vp8.mkv ! matroskademux ! rtpvp8pay picture-id-mode=2 mtu=1400",
    "vp9_gstreamer": "filesrc location=vp9.mkv ! matroskademux ! vp9parse ! rtpvp9pay picture-id-mode=1 mtu=1400",
    "theora_gstreamer": "filesrc location=theora.mkv ! matroskademux ! theoraparse ! rtptheorapay mtu=1400",
    "theora_in_band_gstreamer": "filesrc location=theora.mkv ! matroskademux ! theoraparse"
    " ! rtptheorapay config-interval=1 mtu=1400",
    "vorbis_gstreamer": "filesrc location=vorbis.mkv ! matroskademux ! vorbisparse ! rtpvorbispay mtu=1400",
}
EXPERIMENTAL = {"strict": "experimental"}
PYAV = {  # whose FFmpeg is newer: name, the file to send
    "av1_pyav": "av1.mkv",
}


def main(wanted: list[str]) -> None:
    """Make all vectors, or those of these names."""
    with tempfile.TemporaryDirectory() as folder:
        for name, arguments in STREAMS.items():
            ffmpeg(f"{arguments} {name}", folder)
        for name, (magic, pipeline) in SPEECH.items():
            gstreamer(f"{pipeline} ! filesink location=body", folder)
            body = Path(folder, "body").read_bytes()
            Path(folder, name).write_bytes(magic + body)
        for name, arguments in chosen(KEPT, wanted):
            ffmpeg(f"{arguments} {HERE / name}", folder)
        for name, arguments in chosen(FFMPEG, wanted):
            record(name, arguments, folder, from_ffmpeg)
        for name, arguments in chosen(GSTREAMER, wanted):
            record(name, arguments, folder, from_gstreamer)
        for name, arguments in chosen(PYAV, wanted):
            record(name, arguments, folder, from_pyav)


def chosen(table: dict[str, str], wanted: list[str]) -> list[tuple[str, str]]:
    return [(name, arguments) for name, arguments in table.items() if not wanted or name in wanted]


def ffmpeg(arguments: str, folder: str) -> str:
    command = ["ffmpeg", "-v", "error", "-nostdin", "-y", *shlex.split(arguments)]
    return subprocess.run(command, cwd=folder, check=True, stdout=subprocess.PIPE, text=True).stdout


def gstreamer(pipeline: str, folder: str) -> str:
    command = ["gst-launch-1.0", "-v", *shlex.split(pipeline)]
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
    if arguments.endswith(" -f rtp_mpegts"):  # it writes no description
        ffmpeg(f"{arguments} '{url}'", folder)
        return f"m=video {port} RTP/AVP 33\n"
    return ffmpeg(f"{arguments} -flags +bitexact -f rtp '{url}'", folder).removeprefix("SDP:\n")


def from_pyav(file: str, folder: str, port: int) -> str:
    url = f"rtp://127.0.0.1:{port}?rtcpport={port + 1}&pkt_size=1400"
    with av.open(str(Path(folder, file))) as source, av.open(url, "w", format="rtp", options=EXPERIMENTAL) as output:
        stream = output.add_mux_stream("av1", width=176, height=144, time_base=source.streams[0].time_base)
        for packet in source.demux(0):
            if packet.dts is not None:
                packet.stream = stream
                output.mux(packet)
    return f"m=video {port} RTP/AVP 96\na=rtpmap:96 AV1/90000\n"  # PyAV does not show its own


def from_gstreamer(arguments: str, folder: str, port: int) -> str:
    output = gstreamer(f"{arguments} ! udpsink name=out host=127.0.0.1 port={port} sync=false", folder)
    caps = re.findall(r"GstUDPSink:out\.GstPad:sink: caps = (.*)", output)[-1]
    fields = dict(re.findall(r"([\w-]+)=\(\w+\)((?:\\.|[^,;\\]|(?<=\\),)+)", caps))
    fields = {name: re.sub(r"\\(.)", r"\1", value).strip('"') for name, value in fields.items()}
    rtpmap = "/".join(fields[name] for name in ("encoding-name", "clock-rate", "encoding-params") if name in fields)
    payload_type = fields["payload"]
    known = {"media", "payload", "clock-rate", "encoding-name", "encoding-params", "ssrc", "a-framerate"}
    known |= {"timestamp-offset", "seqnum-offset", "packetization-supported", "channels"}
    fmtp = ";".join(f"{name}={value}" for name, value in fields.items() if name not in known)
    return f"m={fields['media']} {port} RTP/AVP {payload_type}\na=rtpmap:{payload_type} {rtpmap}\n" + (
        f"a=fmtp:{payload_type} {fmtp}\n" if fmtp else ""
    )


if __name__ == "__main__":
    main(sys.argv[1:])
