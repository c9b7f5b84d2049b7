"""The HTTP and HTTPS ports: pages, and whatever else is asked for by an HTTP request."""
