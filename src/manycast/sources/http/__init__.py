"""Streams of web servers and cameras."""
