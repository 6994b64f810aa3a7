"""Stills by the fastest way that works: tiers in order, a budget for each, one capture for all who wait."""

from agent_core.snapshots.ladder import AllTiersFailed, SnapshotManager, Still

__all__ = ("AllTiersFailed", "SnapshotManager", "Still")
