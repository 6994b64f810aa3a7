"""The toy server of `tests/toy_server.py`, for the tests of this folder."""

from tests.toy_server import certificate, clock, serve, toy

__all__ = ("certificate", "clock", "serve", "toy")
