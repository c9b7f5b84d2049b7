"""Files below the media folder, played from any position by any number of viewers."""
