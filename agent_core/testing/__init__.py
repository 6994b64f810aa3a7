"""The public test kit: what plugins and the agent's own tests share."""
