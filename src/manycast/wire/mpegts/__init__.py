"""MPEG transport streams (ISO/IEC 13818-1, also ITU-T H.222.0)."""
