"""TCP connections to both listeners: the limit on their number, and the accounts that own the other ends."""
