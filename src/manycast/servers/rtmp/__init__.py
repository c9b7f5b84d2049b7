"""The RTMP server."""
