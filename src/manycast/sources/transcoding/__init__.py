"""Frames of one codec into frames of another."""
