"""Changes the machine's own network, where the configuration allows ONVIF's clients to. On Linux."""
