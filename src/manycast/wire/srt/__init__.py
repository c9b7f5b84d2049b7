"""SRT: what callers say of themselves. The protocol itself is libsrt's."""
