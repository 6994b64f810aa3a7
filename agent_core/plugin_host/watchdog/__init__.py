"""Watchdog: ends the process if its event loop does not run, finds the plugin at fault and quarantines it."""
