"""Who an RTSP client is: its credentials against the server's users."""

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
    """The client has to say who it is; `challenge` asks it."""

    def __init__(self, challenge: Challenge) -> None:
        super().__init__("no credentials")
        self.challenge = challenge


class RtspAccess:
    """One connection's side of the authentication: it remembers the digest's nonce.

    Args:
        host: the client's address.
        is_own: whether the client is of the agent's own account on this host. Without a password no one else may
            publish, whatever `any` is granted.
        agent: the credentials of the agent, with which it reads.
    """

    def __init__(self, host: str, *, is_own: bool, agent: Credentials) -> None:
        self._host = host
        self._is_own = is_own
        self._agent = agent
        self._digest = Challenge("digest", _REALM, secrets.token_hex(16))

    async def authorize(self, configuration: Configuration, action: str, name: str, request: Request) -> str:
        """Name the user who may, empty for an anonymous one. Wrong credentials cost a pause.

        Raises:
            Unauthorized: nobody may without credentials.
            Refused: the credentials are wrong, or do not suffice.
            RtspError: they cannot be read.
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
        """A digest for a question that we did not ask: the client has to be asked again, not punished."""
        return given.scheme == "digest" and given.nonce != self._digest.nonce

    def _challenge(self, configuration: Configuration) -> Challenge:
        methods = configuration.server["rtspAuthMethods"]
        if isinstance(methods, list) and "digest" in methods:
            return self._digest
        return Challenge("basic", _REALM)
