"""The official ONVIF device test specifications, as tests of any device at a URL."""
