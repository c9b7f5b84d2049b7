"""Events: who tells something, who wants to hear it, and the event service between them."""
