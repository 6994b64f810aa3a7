"""Credentials of cameras in the options of paths: the API shows those that the agent has set to the agent only."""

import re
from collections.abc import Mapping

from embedded_server.config.gotext import Json

__all__ = ("SourceSecrets",)

#: Options with an address of another server.
_ADDRESSES = ("source", "sourceRedirect")
#: To the last @: servers disagree about a password with an unencoded @ or slash.
_USER = re.compile(r"(?<=://).*@", re.DOTALL)
#: Some cameras take user and password in the query.
_QUERY = re.compile(r"\?.*", re.DOTALL)


class SourceSecrets:
    """Hides user, password and query of the addresses that the agent has set, and puts them back.

    An address that another user of the API has set is no secret from the users of the API. The agent sees everything.
    Addresses stay secret after their path has another one, because a change is applied later than it is answered.
    """

    def __init__(self) -> None:
        self._secret: set[str] = set()

    def keep(self, options: Mapping[str, Json]) -> None:
        """Keep the addresses of `options`, which the agent sets, from other users."""
        for key in _ADDRESSES:
            address = options.get(key)
            if isinstance(address, str) and _shown(address) != address:
                self._secret.add(address)

    def shown(self, options: Mapping[str, Json]) -> dict[str, Json]:
        """Return the options of a path for a user who is not the agent."""
        return {**options, **self._hidden(options)}

    def meant(self, options: Mapping[str, Json], known: Mapping[str, Json]) -> Mapping[str, Json]:
        """Return the options that such a user sends, with the addresses that were hidden from it.

        A client may read the options of a path, change some, and send all of them.

        Args:
            options: options that the user sends.
            known: options that the path has.
        """
        hidden = self._hidden(known)
        return {
            key: known[key] if key in hidden and value == hidden[key] else value
            for key, value in options.items()
        }

    def _hidden(self, options: Mapping[str, Json]) -> dict[str, str]:
        """Return the addresses that are secret, in the form in which they are shown."""
        addresses = {key: options.get(key) for key in _ADDRESSES}
        return {
            key: _shown(address)
            for key, address in addresses.items()
            if isinstance(address, str) and address in self._secret
        }


def _shown(address: str) -> str:
    return _QUERY.sub("?***", _USER.sub("***@", address))
