"""Plugin class with its hook."""

from pathlib import Path
from typing import ClassVar

from pydantic import Field

from agent_core.plugin import AgentContext, Plugin, Settings, WebFiles, WebPart, hookimpl

__all__ = ("WebConsolePlugin", "WebConsoleSettings")


class WebConsoleSettings(Settings):
    """Settings of the plugin."""

    at_root: bool = Field(
        default=True, description="true: the page is at / too, and not only at /plugins/web_console/"
    )


class WebConsolePlugin(Plugin[WebConsoleSettings]):
    """Plugin whose page is static: everything that it shows, it asks the agent for as any other client does."""

    hookspec_api = ">=1.4,<2"
    Settings: ClassVar[type[Settings]] = WebConsoleSettings

    @hookimpl
    def agent_web_routes(self, agent: AgentContext) -> list[WebPart]:
        return [WebFiles(Path(__file__).parent / "static", claims_root=self.settings.at_root)]
