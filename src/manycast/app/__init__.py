"""The server put together: what the configuration asks for, made of the rooms, started and stopped."""
