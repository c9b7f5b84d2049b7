"""WS-Discovery: being found without being known."""
