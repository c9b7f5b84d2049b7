"""Streams over plain HTTP and WebSocket: FLV and fragmented MP4."""
