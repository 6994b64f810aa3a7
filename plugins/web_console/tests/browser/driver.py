"""Drive Chromium by commands from standard input, one JSON object per line, each answered by a line with its number.

Runs in `.cache/browser`, which has Playwright and axe and nothing of the agent. Arguments: path of Chromium, folder for the
profile, and options of the context as JSON, such as the size of the page.
"""

import base64
import json
import re
import sys
import time
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import BrowserContext, Page, sync_playwright

#: Longest wait of one command, in milliseconds; others use the machine too.
LIMIT_MS = 40_000
#: What Chromium logs of an answer that is an error.
ANSWER = re.compile(r"Failed to load resource: the server responded with a status of (\d{3}) \(.*\)")
#: Answers about a camera's picture after which the page asks again by itself.
PICTURES = {(status, "snapshot.jpg") for status in (429, 503, 504)}


class Driver:
    """Commands by the name of their method; each takes the members of its JSON object."""

    def __init__(self, context: BrowserContext) -> None:
        self._context = context
        self._pages: list[Page] = []
        self._at = 0
        #: Texts, and the last words of the paths that they are about.
        self._noticed: list[tuple[str, str]] = []
        self._asked: list[str] = []
        context.on("request", lambda request: self._asked.append(request.url))
        context.on("weberror", lambda error: self._noticed.append((str(error.error), "")))
        context.on("console", self._console)
        context.on("dialog", self._dialog)
        self.tab()

    @property
    def _page(self) -> Page:
        return self._pages[self._at]

    def _console(self, message: Any) -> None:
        if message.type == "error":
            about = urlsplit(message.location["url"]).path.rpartition("/")[2]
            self._noticed.append((message.text, about))

    def _dialog(self, dialog: Any) -> None:
        self._noticed.append((f"dialog: {dialog.message}", ""))
        dialog.dismiss()

    def tab(self, number: int | None = None) -> None:
        """Go to a tab by its number, or open one."""
        if number is None:
            page = self._context.new_page()
            page.set_default_timeout(LIMIT_MS)
            self._pages.append(page)
            number = len(self._pages) - 1
        self._at = number

    def shut(self) -> None:
        """Close the newest tab, and go to the first one."""
        self._pages.pop().close()
        self._at = 0

    def open(self, url: str) -> None:
        self._page.goto(url, wait_until="load")

    def look(self, width: int, height: int, scheme: str) -> None:
        """Give the page a size, and a "light" or "dark" colour scheme."""
        self._page.set_viewport_size({"width": width, "height": height})
        self._page.emulate_media(color_scheme=scheme)

    def address(self) -> Any:
        return self._page.url

    def wait(self, selector: str, text: str | None = None, state: str = "visible") -> None:
        found = self._page.locator(selector)
        (found.filter(has_text=text) if text is not None else found).first.wait_for(state=state)

    def click(self, selector: str) -> None:
        self._page.locator(selector).first.click()

    def fill(self, selector: str, value: str) -> None:
        self._page.locator(selector).first.fill(value)

    def choose(self, selector: str, value: str) -> None:
        self._page.locator(selector).first.select_option(value)

    def press(self, key: str) -> None:
        self._page.keyboard.press(key)

    def texts(self, selector: str) -> Any:
        return self._page.locator(selector).all_inner_texts()

    def count(self, selector: str) -> Any:
        return self._page.locator(selector).count()

    def run(self, script: str) -> Any:
        """Return the value of a JavaScript expression."""
        return self._page.evaluate(script)

    def until(self, script: str) -> None:
        """Wait until a JavaScript expression is true. Playwright's own wait needs `eval`, which the page's policy forbids."""
        end_s = time.monotonic() + LIMIT_MS / 1000
        while not self._page.evaluate(script):
            if time.monotonic() > end_s:
                raise TimeoutError(f"never true: {script}")
            self._page.wait_for_timeout(50)

    def shot(self, selector: str | None = None) -> str:
        """Return a PNG of an element or the page, in base64."""
        data = self._page.locator(selector).first.screenshot() if selector else self._page.screenshot()
        return base64.b64encode(data).decode()

    def axe(self) -> list[str]:
        """Return the violations that axe finds in the page as it is now."""
        found = Axe().run(self._page).response["violations"]
        return [
            f"{each['id']}: {node['html']} {node['failureSummary']}"
            for each in found
            for node in each["nodes"]
        ]

    def noticed(self) -> list[str]:
        """Return dialogs, uncaught errors and errors of the console."""
        return [text for text, _ in self._noticed]

    def faults(self, answers: Sequence[Sequence[Any]] = ()) -> list[str]:
        """Return the same without these answers, by status and last word of the path, and those of pictures that are asked for again."""
        expected = PICTURES | {(int(status), str(about)) for status, about in answers}

        def is_expected(text: str, about: str) -> bool:
            answer = ANSWER.fullmatch(text)
            return answer is not None and (int(answer[1]), about) in expected

        return [f"{text} {about}".strip() for text, about in self._noticed if not is_expected(text, about)]

    def frames(self) -> list[str]:
        """Return the addresses that the frames of the page are at, which tell those that were refused from others."""
        return [each.url for each in self._page.frames if each is not self._page.main_frame]

    def asked(self) -> list[str]:
        """Return the addresses of all requests."""
        return self._asked


def _say(answer: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


def main(chromium: str, profile: str, options: str) -> None:
    with sync_playwright() as playwright:
        context = playwright.chromium.launch_persistent_context(
            profile,
            executable_path=chromium,
            headless=True,
            args=["--no-sandbox", "--disable-gpu"],
            **json.loads(options),
        )
        driver = Driver(context)
        _say({"command": 0, "value": "ready"})
        for line in sys.stdin:
            asked = json.loads(line)
            try:
                answer = {"value": getattr(driver, asked["do"])(**asked["members"])}
            except Exception as error:  # noqa: BLE001 - the test is told
                answer = {"error": str(error)}
            _say({"command": asked["command"], **answer})
        context.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
