"""Retention of stored media by age, size and number: decisions, the operator's policy, and the deletion itself."""

from agent_core.media.retention.cleaner import Cleaned, MediaCleaner
from agent_core.media.retention.limits import Limits, Plan, Rule
from agent_core.media.retention.policy import PolicyFile, RetentionPolicy, planned
from agent_core.media.retention.stock import Freed, Stock
from agent_core.media.retention.views import MediaView, StoredMedia

__all__ = (
    "Cleaned",
    "Freed",
    "Limits",
    "MediaCleaner",
    "MediaView",
    "Plan",
    "PolicyFile",
    "RetentionPolicy",
    "Rule",
    "Stock",
    "StoredMedia",
    "planned",
)
