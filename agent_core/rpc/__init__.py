"""JSON-RPC 2.0 over WebSocket: the wire contract's mechanics. What the methods do is the controller's business."""
