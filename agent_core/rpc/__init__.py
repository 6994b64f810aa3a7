"""JSON-RPC 2.0 engine: messages, calls, sessions and topics, without knowledge of cameras."""
