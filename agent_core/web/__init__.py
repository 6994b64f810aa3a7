"""The agent's port: WebSocket for JSON-RPC; HTTP for files, health and metrics."""
