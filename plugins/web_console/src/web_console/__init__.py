"""Plugin with the web console, a page at `/`."""
