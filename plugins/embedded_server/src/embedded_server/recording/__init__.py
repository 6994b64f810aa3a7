"""Recording of paths, and their recordings."""
