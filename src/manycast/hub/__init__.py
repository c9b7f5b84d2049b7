"""Streams, paths, the group-of-pictures cache, packagers, the fan-out, on-demand start and stop."""
