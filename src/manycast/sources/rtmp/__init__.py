"""Streams of other RTMP servers."""
