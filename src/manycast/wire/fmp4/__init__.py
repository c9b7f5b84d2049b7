"""Fragmented MP4 (ISO/IEC 14496-12, CMAF: ISO/IEC 23000-19): what browsers take, and HLS."""
