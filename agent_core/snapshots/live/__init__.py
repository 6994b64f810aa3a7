"""Live pictures of cameras, shared by all that view them."""

from agent_core.snapshots.live.feed import LiveFeed, Viewer
from agent_core.snapshots.live.feeds import LiveFeeds

__all__ = ("LiveFeed", "LiveFeeds", "Viewer")
