"""Foundations without knowledge of cameras: errors, values, clocks, events, locks, files, threads and child processes."""
