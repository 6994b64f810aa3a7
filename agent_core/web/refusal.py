"""HTTP response that refuses a request and closes the connection.

A module of its own: the HTTP and the WebSocket protocol both use it.
"""

from http import HTTPStatus

__all__ = ("refusal",)


def refusal(status: HTTPStatus, text: str, more: str = "") -> bytes:
    """Return the whole response; `more` holds further header lines, each with its line end."""
    return (
        f"HTTP/1.1 {status.value} {status.phrase}\r\ncontent-type: text/plain; charset=utf-8\r\n"
        f"content-length: {len(text.encode())}\r\nconnection: close\r\n{more}\r\n{text}"
    ).encode()
