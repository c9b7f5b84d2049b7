"""Streams of other RTSP servers."""
