"""GStreamer's RTSP server with a test pattern at /test, as a program for the system's Python, which has `gi`."""

import argparse
from collections.abc import Sequence
from typing import Any

import gi  # type: ignore[import-not-found,unused-ignore]

gi.require_version("Gst", "1.0")
gi.require_version("GstRtsp", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import Gio, GLib, Gst, GstRtsp, GstRtspServer  # type: ignore[import-not-found,unused-ignore]  # noqa: E402

# The tees are for clients who set up the back channel alone: sources that nobody is linked to would end the media.
PIPELINE = (
    "( videotestsrc is-live=true ! video/x-raw,width=320,height=240,framerate=25/1 ! tee allow-not-linked=true ! "
    "x264enc tune=zerolatency key-int-max=25 ! rtph264pay name=pay0 pt=96 "
    "audiotestsrc is-live=true ! tee allow-not-linked=true ! alawenc ! rtppcmapay name=pay1 pt=8 )"
)
HEARD = (
    "( capsfilter name=depay_backchannel "
    'caps="application/x-rtp,media=audio,payload=0,clock-rate=8000,encoding-name=PCMU" '
    "! rtppcmudepay ! filesink location={} buffer-mode=unbuffered sync=false async=false )"
)
ROLE = "user"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("port")
    parser.add_argument("--only", choices=["tcp", "udp"], help="the one transport it has")
    parser.add_argument("--login", nargs=2, metavar=("USER", "PASSWORD"), help="for Digest")
    parser.add_argument("--tls", nargs=2, metavar=("CERTIFICATE", "KEY"), help="RTSP in TLS, with SRTP")
    parser.add_argument("--heard", metavar="FILE", help="a back channel in G.711 mu-law, written to a file")
    options = parser.parse_args()
    Gst.init(None)
    server, factory = make(options.heard)
    server.set_address("127.0.0.1")
    server.set_service(options.port)
    factory.set_launch(PIPELINE)
    factory.set_shared(True)
    if options.only is not None:
        factory.set_protocols(getattr(GstRtsp.RTSPLowerTrans, options.only.upper()))
    if options.login is not None or options.tls is not None:
        server.set_auth(make_auth(factory, options.login, options.tls))
    if options.tls is not None:
        factory.set_profiles(GstRtsp.RTSPProfile.SAVP)
    server.get_mount_points().add_factory("/test", factory)
    server.attach(None)
    GLib.MainLoop().run()


def make(heard: str | None) -> tuple[Any, Any]:
    """A server and what makes its media."""
    if heard is None:
        return GstRtspServer.RTSPServer(), GstRtspServer.RTSPMediaFactory()
    factory = GstRtspServer.RTSPOnvifMediaFactory()
    factory.set_backchannel_launch(HEARD.format(heard))
    factory.set_media_gtype(GstRtspServer.RTSPOnvifMedia)
    return GstRtspServer.RTSPOnvifServer.new(), factory


def make_auth(factory: Any, login: Sequence[str] | None, tls: Sequence[str] | None) -> Any:
    """Who may: those who log in, or everybody inside TLS."""
    auth = GstRtspServer.RTSPAuth()
    token = GstRtspServer.RTSPToken()
    token.set_string("media.factory.role", ROLE)
    if login is not None:
        auth.set_supported_methods(GstRtsp.RTSPAuthMethod.DIGEST)
        auth.add_digest(*login, token)
    else:
        auth.set_default_token(token)
    if tls is not None:
        auth.set_tls_certificate(Gio.TlsCertificate.new_from_files(*tls))
    permissions = GstRtspServer.RTSPPermissions()
    permissions.add_permission_for_role(ROLE, "media.factory.access", True)
    permissions.add_permission_for_role(ROLE, "media.factory.construct", True)
    factory.set_permissions(permissions)
    return auth


main()
