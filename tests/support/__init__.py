"""What the tests of the running server share."""
