"""Paths: who publishes, who reads, and what runs on demand."""
