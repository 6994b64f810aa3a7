"""Topics that match filters of subscriptions. Apart from the connection, which it has no part in."""

__all__ = ("matches",)


def matches(topic_filter: str, topic: str) -> bool:
    """Return True if a subscription to `topic_filter` covers `topic`.

    Topics of brokers' own, `$...`, never match; nor does what cannot be a topic, in which nothing could be published.
    """
    if not topic or topic.startswith("$") or any(each in topic for each in "+#\0"):
        return False
    wanted, levels = topic_filter.split("/"), topic.split("/")
    for index, each in enumerate(wanted):
        if each == "#":
            return True
        if index >= len(levels) or each not in {"+", levels[index]}:
            return False
    return len(levels) == len(wanted)
