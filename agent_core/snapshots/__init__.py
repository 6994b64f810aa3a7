"""Stills by the fastest way that works: tiers in order, a budget for each, one capture for all who wait."""

from agent_core.snapshots.ladder import AllTiersFailed, SnapshotManager, Still
from agent_core.snapshots.service import SnapshotService

__all__ = ("AllTiersFailed", "SnapshotManager", "SnapshotService", "Still")
