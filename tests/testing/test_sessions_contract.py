"""Sessions that the core lends, in a running agent, and their stand-in: one contract for both."""

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any

import anyio

from agent_core.auth.revocations import RevokedTokens
from agent_core.base.clock import SystemClock
from agent_core.plugin import (
    AgentContext,
    Plugin,
    PrincipalSource,
    RpcMethod,
    RpcParams,
    RpcResult,
    Settings,
    hookimpl,
)
from agent_core.testing import (
    ClientSessionsContract,
    FakeSessions,
    SessionsUnderTest,
    running_agent,
)


class Waiting:
    """Method that never answers, and how many of its calls are running."""

    def __init__(self) -> None:
        self.running = 0

    async def wait(self, _params: object = None) -> Any:
        self.running += 1
        try:
            await anyio.sleep_forever()
        finally:
            self.running -= 1


class TestFakeSessions(ClientSessionsContract):
    @asynccontextmanager
    async def lent(self) -> AsyncIterator[SessionsUnderTest]:
        fake = FakeSessions(SystemClock(), plugin="lender", topics=("lender.counted",))
        waiting = Waiting()
        fake.answers["lender.wait"] = waiting.wait
        fake.roles["lender.wait"] = "operator"

        def publish(number: int) -> None:
            fake.publish("lender.counted", {"number": number})

        yield SessionsUnderTest(
            fake, publish, lambda role: fake.user("someone", role), fake.revoke, lambda: waiting.running
        )


class Wait(RpcMethod[RpcParams]):
    name = "lender.wait"
    role = "operator"
    summary = "Wait for ever."

    def __init__(self, waiting: Waiting) -> None:
        self._waiting = waiting

    async def call(self, params: RpcParams) -> RpcResult:
        result: RpcResult = await self._waiting.wait()
        return result


def lender(waiting: Waiting, lent_to: list[AgentContext]) -> type[Plugin[Settings]]:
    """Return a plugin that gives its context away."""

    class Lender(Plugin[Settings]):
        topics = ("lender.counted",)
        Settings = Settings

        @hookimpl
        def agent_rpc_methods(self, agent: AgentContext) -> Iterable[RpcMethod[Any]]:
            lent_to.append(agent)
            return (Wait(waiting),)

    return Lender


class TestSessionsOfAnAgent(ClientSessionsContract):
    @asynccontextmanager
    async def lent(self) -> AsyncIterator[SessionsUnderTest]:
        waiting, lent_to = Waiting(), list[AgentContext]()
        plugins = {"lender": lender(waiting, lent_to)}
        async with running_agent(plugins=plugins, settled=False) as agent:
            (context,) = lent_to

            async def revoke(user: PrincipalSource) -> None:
                state_dir = agent.folder / "state"
                token_id = user.credential.rpartition(".")[2]
                RevokedTokens(state_dir / "revoked-tokens.json", SystemClock()).revoke(token_id)

            yield SessionsUnderTest(
                context.sessions,
                lambda number: context.events.publish("lender.counted", {"number": number}),
                lambda role: agent.parts.tokens.verify(agent.token(role)),
                revoke,
                lambda: waiting.running,
            )
