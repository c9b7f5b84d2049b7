"""The RTSP server (RFC 2326): plays to viewers and takes from publishers."""
