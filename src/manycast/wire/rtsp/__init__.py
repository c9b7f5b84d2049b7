"""RTSP 1.0 (RFC 2326) without a socket: messages, header values, addresses, the session's states."""
