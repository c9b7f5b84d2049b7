"""The protocols as pure code: bytes in, events out; values in, bytes out."""
