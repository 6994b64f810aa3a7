"""SOAP requests to an ONVIF device over HTTP, with bounded answers and WS-Security."""

import base64
import hashlib
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address, IPv6Address
from urllib.parse import urlsplit
from xml.sax.saxutils import escape

import httpx

from agent_core.plugin import Clock
from agent_core.plugin.rtsp import Credentials
from external_discovery.discovery.onvif.xml import Element, XmlRefused, parse
from external_discovery.tracks import printable

__all__ = ("DeviceFailed", "SoapClient", "service_at", "utc_of")

_MOST_BYTES = 512 << 10
#: Years of clocks. Those of cameras without a battery begin with 1970; times near the year 9999 cannot be added to.
_FIRST_YEAR, _LAST_YEAR = 1970, 2999
_ENVELOPE = """\
<?xml version="1.0" encoding="UTF-8"?>\
<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope">{header}<s:Body>{body}</s:Body></s:Envelope>"""
_WSSE = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd"
_WSU = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-utility-1.0.xsd"
_DIGEST = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-username-token-profile-1.0#PasswordDigest"
_BASE64 = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-soap-message-security-1.0#Base64Binary"
_SECURITY = (
    '<s:Header><w:Security s:mustUnderstand="1" xmlns:w="' + _WSSE + '" xmlns:u="' + _WSU + '">'
    "<w:UsernameToken><w:Username>{user}</w:Username>"
    '<w:Password Type="' + _DIGEST + '">{digest}</w:Password>'
    '<w:Nonce EncodingType="' + _BASE64 + '">{nonce}</w:Nonce>'
    "<u:Created>{created}</u:Created></w:UsernameToken></w:Security></s:Header>"
)


class DeviceFailed(Exception):
    """Failure of a device to answer. The message is a sentence without credentials.

    Attributes:
        not_authorized: the device wants another user or password, or one at all.
    """

    def __init__(self, details: str, *, not_authorized: bool = False) -> None:
        super().__init__(details)
        self.not_authorized = not_authorized


def service_at(url: str, host: IPv4Address | IPv6Address) -> str:
    """Return the address of a service as the device names it, at `host`.

    Only port and path are taken: devices behind routers, and those with several networks, name other hosts, and what
    a device names must not lead the agent to another one.

    Raises:
        DeviceFailed: it is no HTTP address.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        parts, port = urlsplit(""), None
    if (
        parts.scheme not in ("http", "https")
        or not parts.hostname
        or not url.isascii()
        or not url.isprintable()
    ):
        raise DeviceFailed("It names an address of its service that is no HTTP address.")
    netloc = f"[{host}]" if host.version == 6 else str(host)
    query = f"?{parts.query}" if parts.query else ""
    return f"{parts.scheme}://{netloc}{f':{port}' if port else ''}{parts.path or '/'}{query}"


@dataclass(slots=True)
class SoapClient:
    """Client of one device.

    Attributes:
        http: client that follows no redirects; the caller's to close.
        credentials: user and password; None sends neither.
        clock: this host's wall clock.
        offset: the device's clock minus ours. Devices refuse a request that seems old, and many have wrong clocks.
    """

    http: httpx.AsyncClient
    credentials: Credentials | None
    clock: Clock
    offset: timedelta = timedelta()

    async def ask(self, url: str, body: str, *, secured: bool = True) -> Element:
        """Send a request and return the body of the answer.

        Sends the password as a digest in the message and, if the device's web server asks for it, by HTTP Digest too.

        Raises:
            DeviceFailed: no answer, an answer that is no SOAP, or a fault.
        """
        credentials = self.credentials if secured else None
        message = _ENVELOPE.format(header=self._header(credentials), body=body)
        auth = httpx.DigestAuth(credentials.user, credentials.password) if credentials else None
        try:
            status, data = await self._post(url, message.encode(), auth)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise DeviceFailed(
                f"It does not answer on its service's port ({type(error).__name__})."
            ) from error
        except (
            KeyError,
            ValueError,
            NotImplementedError,
        ) as error:  # httpx, of challenges that it cannot answer
            raise DeviceFailed("It asks for the password in an unknown way.", not_authorized=True) from error
        if status == 401:
            raise DeviceFailed("It refuses the user and password.", not_authorized=True)
        if 300 <= status < 400:
            raise DeviceFailed("It redirects to another address, which is not followed.")
        return _content(status, data)

    async def _post(self, url: str, message: bytes, auth: httpx.Auth | None) -> tuple[int, bytes]:
        # A compressed answer could be small here and huge once it is expanded.
        headers = {"Content-Type": "application/soap+xml; charset=utf-8", "Accept-Encoding": "identity"}
        data = bytearray()
        async with self.http.stream("POST", url, content=message, headers=headers, auth=auth) as response:
            async for chunk in response.aiter_raw():
                data += chunk
                if len(data) > _MOST_BYTES:
                    raise DeviceFailed(f"Its answer is over {_MOST_BYTES} bytes.")
            return response.status_code, bytes(data)

    def _header(self, credentials: Credentials | None) -> str:
        if credentials is None:
            return ""
        nonce = secrets.token_bytes(16)
        created = (self.clock.now() + self.offset).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        # Web Services Security, UsernameToken Profile 1.0, 3.1; SHA-1 is its only digest.
        digest = hashlib.sha1(nonce + created.encode() + credentials.password.encode()).digest()  # noqa: S324
        return _SECURITY.format(
            user=escape(credentials.user),
            digest=base64.b64encode(digest).decode(),
            nonce=base64.b64encode(nonce).decode(),
            created=created,
        )


def _content(status: int, data: bytes) -> Element:
    try:
        body = parse(data).find("Body")
        problem = "Its answer is no SOAP message."
    except XmlRefused as error:
        body, problem = None, f"Its answer cannot be read. {error}"
    if body is not None and (fault := body.find("Fault")) is not None:
        raise _fault(fault)
    if status >= 400:
        raise DeviceFailed(f"It answers {status} on its service's port.")
    if body is None:
        raise DeviceFailed(problem)
    return body


def _fault(fault: Element) -> DeviceFailed:
    codes = " ".join(each.text for name in ("Value", "faultcode") for each in fault.all(name)).lower()
    text = printable(fault.value("Reason", "Text") or fault.value("faultstring"))
    if "notauthorized" in codes.replace(" ", "") or "failedauthentication" in codes:
        return DeviceFailed("It refuses the user and password.", not_authorized=True)
    return DeviceFailed(f"It answers with a fault: {text or 'without a reason'}.")


def utc_of(answer: Element) -> datetime | None:
    """Return the device's clock from its answer to GetSystemDateAndTime; None if it does not tell, or nonsense."""
    found = next(answer.all("UTCDateTime"), None)
    if found is None:
        return None
    try:
        numbers = [
            int(found.value(group, name))
            for group, names in (("Date", ("Year", "Month", "Day")), ("Time", ("Hour", "Minute", "Second")))
            for name in names
        ]
        year, month, day, hour, minute, second = numbers
        if not _FIRST_YEAR <= year <= _LAST_YEAR:
            return None
        return datetime(year, month, day, hour, minute, min(second, 59), tzinfo=UTC)
    except (ValueError, OverflowError):
        return None
