"""Names of the system's accounts.

A module of its own, as messages of several layers name the owner of a folder or a file.
"""

__all__ = ("account_name",)


def account_name(user_id: int) -> str:
    """Return the name of an account, or its number if it has none."""
    import pwd

    try:
        return pwd.getpwuid(user_id).pw_name
    except KeyError:
        return str(user_id)
