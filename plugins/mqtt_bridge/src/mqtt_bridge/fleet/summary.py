"""Answers of many agents as a command prints them, with a summary of those that are missing."""

from collections.abc import AsyncIterator, Callable, Iterable, Sequence

from pydantic import JsonValue

from agent_core.plugin import AgentError
from agent_core.plugin.commands import CommandFailed, CommandOutput
from mqtt_bridge.client import Answer, CallFailed, FleetAgent, FleetClient, NoAnswer, Selector

__all__ = ("described_error", "find_agents", "print_answers")

#: Lines of one answer, for people.
Lines = Callable[[str, JsonValue], Iterable[str]]
#: True for a result that tells of a failure.
Fails = Callable[[JsonValue], bool]
_NAMED = 20


async def find_agents(fleet: FleetClient, selector: Selector, text: str) -> list[FleetAgent]:
    """Return the agents that `selector` means. Raises CommandFailed if there are none."""
    found = await fleet.select(selector)
    if not found:
        raise CommandFailed(
            f"The broker knows no agent '{text}'." if selector.only else f"No agent matches '{text}'.",
            reason="no_agents",
            suggestion="See `camera-agent fleet list` for the agents and their labels.",
        )
    return found


async def print_answers(
    answers: AsyncIterator[Answer],
    agents: int,
    output: CommandOutput,
    lines: Lines,
    fails: Fails = lambda _: False,
) -> int:
    """Print the answers as they come, then the summary; return the exit code: 1 if not all agents have done it.

    Args:
        answers: the answers.
        agents: number of agents that were asked.
        output: output of the command.
        lines: lines of an answer with a result.
        fails: tells if a result is that of a failure, whose lines say why.
    """
    failed: list[str] = []
    unanswered: list[str] = []
    steps: dict[str, None] = {}
    async for each in answers:
        if each.error is None:
            output.print_result({"agent": each.agent, "result": each.result}, lines(each.agent, each.result))
            failed += [each.agent] if fails(each.result) else []
            continue
        (unanswered if isinstance(each.error, NoAnswer) else failed).append(each.agent)
        steps[each.error.suggestion] = None
        value = {"agent": each.agent, "error": described_error(each.error)}
        output.print_result(value, [f"{each.agent}: {each.error.details}"])
    summary = {
        "agents": agents,
        "done": agents - len(failed) - len(unanswered),
        "failed": sorted(failed),
        "unanswered": sorted(unanswered),
    }
    if output.as_json:
        output.print_result({"summary": summary}, ())
    for line in _summary(agents, sorted(failed), sorted(unanswered)):
        output.note(line)
    for step in steps:
        output.note(f"What to do: {step}")
    return 1 if failed or unanswered else 0


def described_error(error: AgentError) -> dict[str, JsonValue]:
    """Return an error for JSON; those of an agent have its code and data."""
    words: dict[str, JsonValue] = {
        "reason": error.reason,
        "details": error.details,
        "suggestion": error.suggestion,
    }
    if isinstance(error, CallFailed):
        words |= {"code": error.code, "message": error.message, "data": dict(error.wire_data)}
    return words


def _summary(agents: int, failed: Sequence[str], unanswered: Sequence[str]) -> Iterable[str]:
    noun = "agent" if agents == 1 else "agents"
    yield f"{agents - len(failed) - len(unanswered)} of {agents} {noun} done."
    if failed:
        yield f"Failed: {_named(failed)}."
    if unanswered:
        yield f"No answer: {_named(unanswered)}."


def _named(agents: Sequence[str]) -> str:
    more = len(agents) - _NAMED
    return ", ".join(agents[:_NAMED]) + (f" and {more} more" if more > 0 else "")
