"""Rig of the tests in a browser: what each of them imports, from the modules that have one part each."""

from plugins.web_console.tests.box import EMBEDDED, MOVING, box, login_link, needs_h265, painted
from plugins.web_console.tests.chromium import Browser, DriverFailed, browser, why_no_browser
from plugins.web_console.tests.colours import BLUE, RED, Colour, is_near
from plugins.web_console.tests.page_scripts import (
    EVIL,
    FITS,
    HIDE,
    LIVE,
    PLACES,
    SHOWN,
    SMALL,
    THUMBNAILS,
    content,
)
from plugins.web_console.tests.proxy import Proxy, proxy

__all__ = (
    "BLUE",
    "EMBEDDED",
    "EVIL",
    "FITS",
    "HIDE",
    "LIVE",
    "MOVING",
    "PLACES",
    "RED",
    "SHOWN",
    "SMALL",
    "THUMBNAILS",
    "Browser",
    "Colour",
    "DriverFailed",
    "Proxy",
    "box",
    "browser",
    "content",
    "is_near",
    "login_link",
    "needs_h265",
    "painted",
    "proxy",
    "why_no_browser",
)
