"""The FFmpegs that publish cameras where the agent runs them, and what they report."""
