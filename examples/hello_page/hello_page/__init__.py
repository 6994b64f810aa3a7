"""Plugin with a page that lists the cameras, for users with the role viewer."""

from pathlib import Path

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from agent_core import plugin as api


class HelloPage(api.Plugin[api.Settings]):
    hookspec_api = ">=1.4,<2"

    @api.hookimpl
    def agent_web_routes(self, agent: api.AgentContext) -> list[api.WebPart]:
        async def cameras(request: Request) -> Response:
            user: api.WebUser = request.user
            names = {each.id: each.name for each in agent.cameras.list()}
            return JSONResponse({"user": user.name, "cameras": names})

        return [
            api.WebRoutes("viewer", (Route("/cameras", cameras),)),
            api.WebFiles(Path(__file__).parent / "static"),
        ]
