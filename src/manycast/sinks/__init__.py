"""Where what is said to the server is heard: a sound card, files."""
