"""Cameras, microphones, screens and windows of this machine."""
