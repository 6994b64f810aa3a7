"""Authentication of RTSP clients, and their permissions."""

import secrets

import anyio

from agent_core.plugin.rtsp import Authorization, Challenge, Credentials, Request
from embedded_server.config.configuration import Configuration
from embedded_server.config.users import Access, allowed_user, same_password
from embedded_server.rtsp.answer import Refused

__all__ = ("RtspAccess", "Unauthorized")

_REALM = "ipcam"
_WRONG_PASSWORD_PAUSE_S = 2.0


class Unauthorized(Exception):
    """Request without usable credentials; `challenge` goes into the answer."""

    def __init__(self, challenge: Challenge) -> None:
        super().__init__("no credentials")
        self.challenge = challenge


class RtspAccess:
    """Authentication state of one connection, with its nonce for digests.

    Args:
        host: the client's IP address.
        is_own: the client runs on this host as the agent's own account or root. No other client may publish without a
            password, whatever the permissions of `any`.
        agent: the agent's own credentials for reading.
    """

    def __init__(self, host: str, *, is_own: bool, agent: Credentials) -> None:
        self._host = host
        self._is_own = is_own
        self._agent = agent
        self._digest = Challenge("digest", _REALM, secrets.token_hex(16))

    async def authorize(self, configuration: Configuration, action: str, name: str, request: Request) -> str:
        """Return the name of the user with the permission, empty for an anonymous one.

        Wrong credentials are answered after a pause.

        Raises:
            Unauthorized: the action requires credentials.
            Refused: the credentials are wrong or insufficient.
            RtspError: the credentials are malformed.
        """
        text = request.headers.get("Authorization")
        given = Authorization.parse(text) if text else None

        def proves(credentials: Credentials) -> bool:
            if given is None:
                return False
            if given.scheme == "basic":
                return given.user == credentials.user and same_password(given.secret, credentials.password)
            return given.proves(credentials, self._digest, request.method)

        if action == "read" and proves(self._agent):
            return self._agent.user
        users = configuration.server["authInternalUsers"]
        anonymous = self._is_own or action != "publish"
        user = allowed_user(users, Access(action, name, self._host, given is not None, proves, anonymous))
        if user is not None:
            return user
        if given is None or self._is_stale(given):
            raise Unauthorized(self._challenge(configuration))
        await anyio.sleep(_WRONG_PASSWORD_PAUSE_S)
        raise Refused(401, "authentication failed")

    def _is_stale(self, given: Authorization) -> bool:
        """Return whether the digest uses another nonce: such a client is challenged again, not refused."""
        return given.scheme == "digest" and given.nonce != self._digest.nonce

    def _challenge(self, configuration: Configuration) -> Challenge:
        methods = configuration.server["rtspAuthMethods"]
        if isinstance(methods, list) and "digest" in methods:
            return self._digest
        return Challenge("basic", _REALM)
