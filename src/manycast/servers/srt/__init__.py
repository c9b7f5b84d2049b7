"""The SRT server, over Haivision's libsrt."""
