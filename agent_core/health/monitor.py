"""Monitor of the agent's health: checks the media server at intervals and keeps the results of all checks."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace

import anyio
from anyio import TASK_STATUS_IGNORED
from anyio.abc import TaskStatus

from agent_core.base.clock import Clock
from agent_core.base.errors import AgentError, MediaServerUnavailable
from agent_core.base.events import EventBus
from agent_core.base.metrics import MetricRegistry
from agent_core.base.waiting import sleep_unless
from agent_core.config import HealthConfig
from agent_core.health.models import BreakerMetrics, Check, CheckStatus, Health, HealthReport, SystemEvent
from agent_core.mediamtx import ServerLink
from agent_core.mediamtx.breaker import BreakerState
from agent_core.plugin_host.supervisor import ComponentState

__all__ = ("HealthMonitor", "Steady")


_log = logging.getLogger("camera_agent.health")


class Steady:
    """State that changes only after several contrary answers in a row.

    One hiccup is not an alarm, and one good answer is not a recovery.
    """

    def __init__(self, *, to_fail: int, to_recover: int) -> None:
        self._to_fail = to_fail
        self._to_recover = to_recover
        self._good = True
        self._contrary = 0

    @property
    def good(self) -> bool:
        return self._good

    def take(self, *, good: bool) -> bool:
        """Add an answer; return the state."""
        if good is self._good:
            self._contrary = 0
            return self._good
        self._contrary += 1
        if self._contrary >= (self._to_fail if self._good else self._to_recover):
            self._good, self._contrary = good, 0
        return self._good


class HealthMonitor:
    """Checks the media server at intervals, and keeps these results and those of other checks.

    Args:
        link: the media server; probes bypass its circuit breaker.
        components: returns names and states of the agent's parts, from memory.
        component: returns the state of the component that runs the media server; None if the agent does not run it.
        is_live: returns True while anything is streamed or recorded; checks are more frequent then.
    """

    def __init__(
        self,
        link: ServerLink,
        *,
        components: Callable[[], Sequence[tuple[str, str]]],
        component: Callable[[], ComponentState | None] = lambda: None,
        is_live: Callable[[], bool],
        settings: HealthConfig,
        events: EventBus,
        clock: Clock,
    ) -> None:
        self._link = link
        self._components = components
        self._component = component
        self._is_live = is_live
        self._settings = settings
        self._events = events
        self._clock = clock
        self._server = Steady(to_fail=settings.failures, to_recover=settings.successes)
        #: The error of the last probe; None if it was answered, or before the first one.
        self._server_error: AgentError | None = None
        self._probe_s: float | None = None
        self._checks: dict[str, Check] = {}
        self._announced = Health.HEALTHY
        #: The circuit is half-open: if it opens again, the server is still silent, and needs no extra probe.
        self._was_tested = False
        link.breaker.watch(self._circuit_changed)

    @property
    def report(self) -> HealthReport:
        """Health of the agent, from memory."""
        # Clients know the media server by this name, whichever one it is.
        components = tuple({**dict(self._components()), "mediamtx": self.media_server.value}.items())
        checks = tuple(self._checks.values())
        return HealthReport(_overall(components, checks), components, checks, self._probe_s)

    @property
    def media_server(self) -> ComponentState:
        """State of the media server, by its component and by the probes; STOPPED if none is configured."""
        if not self._link.is_configured:
            return ComponentState.STOPPED
        component = self._component()
        if component is not None and component is not ComponentState.RUNNING:
            return component
        if self._is_lost:
            return ComponentState.ERROR
        return ComponentState.STARTING if self._probe_s is None else ComponentState.RUNNING

    @property
    def media_server_problem(self) -> AgentError | None:
        """Reason why probes of the media server fail; None while its component has failed, which has its own reason."""
        return self._server_error if self.media_server is ComponentState.ERROR and self._is_lost else None

    @property
    def _is_lost(self) -> bool:
        """True after several failed probes; after one if the server has never answered and no component explains it."""
        is_unknown = self._probe_s is None and self._component() is None
        return self._server_error is not None and (is_unknown or not self._server.good)

    def add_metrics(self, registry: MetricRegistry) -> None:
        """Describe the agent's health, its components and the probes of the media server."""
        registry.gauge(
            "camera_agent_health",
            "1 for the agent's health, 0 for the others.",
            lambda: {(each.value,): int(each is self.report.status) for each in Health},
            labels=("status",),
        )
        registry.gauge(
            "camera_agent_component_up",
            "1 while a part of the agent runs, else 0.",
            lambda: {(name,): int(state == "RUNNING") for name, state in self.report.components},
            labels=("component",),
        )
        registry.gauge(
            "camera_agent_media_server_probe_seconds",
            "Duration of the last answered probe of the media server.",
            lambda: self._probe_s,
        )

    @property
    def breaker(self) -> BreakerMetrics:
        """State of the circuit to the media server, from memory."""
        return BreakerMetrics(self._link.breaker.state, self._link.breaker.openings)

    async def run(self, *, task_status: TaskStatus[None] = TASK_STATUS_IGNORED) -> None:
        """Check until cancelled."""
        task_status.started()
        while True:
            await self._look_at_server()
            self.announce()
            await sleep_unless(self._clock, self._pause_s(), self._link.recovery.doubted)

    def _pause_s(self) -> float:
        """Return the seconds until the next checks; after an unanswered probe they are few, to notice the return."""
        is_closed = self._link.breaker.state is BreakerState.CLOSED
        if self._link.recovery.is_silent or not (is_closed and self._server.good):
            return self._settings.probe_open_s
        return self._settings.probe_live_s if self._is_live() else self._settings.probe_idle_s

    async def _look_at_server(self) -> None:
        if not self._link.is_configured:
            return
        self._link.recovery.probing()
        began_s = self._clock.monotonic_s()
        try:
            with anyio.fail_after(self._settings.probe_timeout_s):
                await self._link.probe()
        except (AgentError, TimeoutError) as error:
            if isinstance(error, AgentError) and error.reason == "media_server_starting":
                return
            self._server_error = error if isinstance(error, AgentError) else _silent()
            self._link.recovery.unanswered()
            self._link.breaker.unprobed()
            self._note_server(good=False, detail=self._server_error.details)
            if self._is_lost:
                self._link.lost()
            return
        self._server_error = None
        self._probe_s = self._clock.monotonic_s() - began_s
        self._link.breaker.probed(self._clock.monotonic_s())
        self._link.recovery.answered()
        self._note_server(good=True, detail="It answers.")

    def _note_server(self, *, good: bool, detail: str) -> None:
        counts = self._server.take(good=good)
        certain = CheckStatus.OK if good else CheckStatus.FAILED
        self.note("media_server", certain if good is counts else CheckStatus.WARNING, detail)

    def note(self, name: str, status: CheckStatus, detail: str) -> None:
        """Take the result of a check; `detail` is a sentence. Logs a change of `status`, and a first failure; `announce` tells clients."""
        known = self._checks.get(name)
        if known is not None and known.status is status:
            self._checks[name] = replace(known, detail=detail)
            return
        self._checks[name] = Check(name, status, detail, self._clock.now())
        if known is not None or status is CheckStatus.FAILED:
            level = logging.INFO if status is CheckStatus.OK else logging.WARNING
            _log.log(level, "%s: %s. %s", name, status.value.lower(), detail)

    def change(self, name: str, status: CheckStatus, detail: str) -> None:
        """Take the result of a check as `note`, and tell clients once, even if the agent's health stays the same."""
        self.note(name, status, detail)
        report = self.report
        self._announced = report.status
        self._tell(report, detail)

    def _circuit_changed(self, state: BreakerState) -> None:
        """Tell clients of the circuit's state, even if the agent's health stays the same."""
        if state is BreakerState.OPEN and not self._was_tested:
            self._link.recovery.doubt()
        self._was_tested = state is BreakerState.HALF_OPEN
        self.tell(f"The circuit to the media server is {state.value.replace('_', '-')}.")

    def tell(self, reason: str) -> None:
        """Publish the agent's health with `reason`, a sentence."""
        self._tell(self.report, reason)

    def announce(self) -> None:
        """Publish the agent's health if it has changed since the last time."""
        report = self.report
        if report.status is self._announced:
            return
        self._announced = report.status
        worst = next((each.detail for each in report.checks if each.status is not CheckStatus.OK), "")
        self._tell(report, worst)

    def _tell(self, report: HealthReport, reason: str) -> None:
        event = SystemEvent("system.health", report.status.value, report.components, reason)
        self._events.publish(event.topic, event)


def _silent() -> MediaServerUnavailable:
    return MediaServerUnavailable(
        "The media server accepts connections, but does not answer.",
        reason="timed_out",
        suggestion="Check the load of the media server's host, and the media server's log.",
    )


def _overall(components: Sequence[tuple[str, str]], checks: Sequence[Check]) -> Health:
    statuses = {check.status for check in checks}
    if CheckStatus.FAILED in statuses:
        return Health.UNHEALTHY
    if CheckStatus.WARNING in statuses or any(state == "ERROR" for _, state in components):
        return Health.DEGRADED
    return Health.HEALTHY
