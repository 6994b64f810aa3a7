"""The host of plugins: loading, checks of what they return, supervision, the watchdog."""
