"""The ONVIF device, and several of them."""
