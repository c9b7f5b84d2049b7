"""HLS: playlists, segments and parts, on connections that are kept for many requests."""
