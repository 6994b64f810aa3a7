"""Thumbnails of stored media: made once, at the first request, and kept in a bounded folder that may be deleted."""

from agent_core.media.thumbnails.cache import THUMBNAILS_FOLDER, ThumbnailCache
from agent_core.media.thumbnails.originals import Original, Originals
from agent_core.media.thumbnails.service import Thumbnails

__all__ = ("THUMBNAILS_FOLDER", "Original", "Originals", "ThumbnailCache", "Thumbnails")
