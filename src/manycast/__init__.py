"""Manycast: takes a stream in once and gives it to everyone, in whatever protocol they speak."""

__version__ = "0.1.0"
