"""What can be configured: one model per server and per kind of block, each validating itself."""
