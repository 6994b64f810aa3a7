"""Host of plugins: loading, checks of their providers, supervision and the watchdog."""
