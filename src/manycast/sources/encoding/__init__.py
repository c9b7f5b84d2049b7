"""From pictures and sound to frames."""
