"""HTTP Live Streaming (RFC 8216, and draft-pantos-hls-rfc8216bis for low latency): playlists, segments, parts."""
