"""Publishing programs that the agent runs, and the progress that they report."""
