"""The servers, a package per protocol: sockets, sessions, limits; thin shells over wire and hub."""
