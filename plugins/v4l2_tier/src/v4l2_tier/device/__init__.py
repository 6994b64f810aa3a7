"""One V4L2 device: what it is, what it offers, and how it is set."""
