"""Examples of the core's methods, by noun: one function per method, called when `rpc.discover` makes its document."""
