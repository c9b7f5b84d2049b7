"""SRT as a source."""
