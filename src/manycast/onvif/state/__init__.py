"""What a device is set to: one model, kept in a file."""
