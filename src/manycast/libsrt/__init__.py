"""Haivision's libsrt, bound and joined to the event loop: for the server, and for sources that call others."""
