"""Test of the page with the contract that the agent ships."""

from hello_page import HelloPage

from agent_core.testing import WebRoutesContract


class TestPage(WebRoutesContract):
    name = "hello_page"
    plugin = HelloPage
    routes = (("viewer", "/cameras"),)
