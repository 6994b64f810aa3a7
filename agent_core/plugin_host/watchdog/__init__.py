"""The watchdog: ends a process whose event loop does not run, finds the plugin at fault, and quarantines it."""
