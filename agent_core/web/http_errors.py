"""Errors that only requests over HTTP meet, each with its status; JSON-RPC has no code for them."""

from collections.abc import Iterable
from typing import ClassVar

from agent_core.base.errors import AgentError

__all__ = ("CrossSite", "HttpError", "WrongMethod")


class HttpError(AgentError):
    """Root of these errors."""

    status: ClassVar[int]

    def headers(self) -> dict[str, str]:
        """Return further headers of the answer."""
        return {}


class CrossSite(HttpError):
    """A page of another origin has caused the request, which may carry credentials that the browser remembers."""

    status = 403
    default_reason = "cross_site"
    default_suggestion = (
        "Open the address directly. To show a camera in another page, make a view link with create_view_link."
    )

    def __init__(self) -> None:
        super().__init__("A page of another origin has caused this request; it may not use this address.")


class WrongMethod(HttpError):
    """The address does not take the request's method; `allowed` are those that it takes."""

    status = 405
    default_reason = "wrong_method"

    def __init__(self, allowed: Iterable[str]) -> None:
        self._allow = ", ".join(allowed)
        super().__init__(
            "This address does not take the method of the request.", suggestion=f"Use {self._allow}."
        )

    def headers(self) -> dict[str, str]:
        return {"allow": self._allow}
