"""Mirror of the agent's state in retained topics."""
