"""Check of the agent's systemd unit: its state, the result of its last run, its restarts."""

from dataclasses import dataclass

import anyio

from agent_core.base import processes
from agent_core.plugin import Finding, FindingStatus

__all__ = ("UNIT", "Service", "find_service", "look_at_service")

UNIT = "camera-agent.service"
_NAME = "service"
_ANSWER_S = 5.0
_PROPERTIES = (
    "LoadState",
    "ActiveState",
    "SubState",
    "Result",
    "UnitFileState",
    "NeedDaemonReload",
    "NRestarts",
    "MainPID",
    "ExecMainStatus",
    "User",
    "Group",
    "SupplementaryGroups",
)
_LOG = "See `journalctl --unit camera-agent --lines 50`"
#: Results of a service, as systemd's property Result names them, as clauses after "its last run".
_RESULTS = {
    "core-dump": "crashed",
    "exec-condition": "was prevented by a condition of the unit",
    "oom-kill": "was ended by the kernel, for lack of memory",
    "protocol": "ended before it was ready",
    "resources": "could not be prepared by systemd",
    "start-limit-hit": "was one of too many in a short time",
    "timeout": "took too long to start or to stop",
    "watchdog": "stopped answering the watchdog",
}
#: Exit codes of systemd.exec(5), for what fails before the agent runs, with the next step.
_BEFORE_THE_AGENT = {
    203: ("the program cannot be executed", "Reinstall the package: `apt install --reinstall camera-agent`."),
    216: ("a group of the unit does not exist", "Run `systemd-sysusers`, or correct the unit's drop-ins."),
    217: ("the unit's account does not exist", "Run `systemd-sysusers`, or correct the unit's drop-ins."),
    226: (
        "a folder that the unit names cannot be mounted",
        "Put `-` before a path in ReadWritePaths= that may be missing.",
    ),
    233: ("its runtime folder cannot be made", "Check /run: its free space and its owner."),
    238: (
        "its state folder cannot be made",
        "Check /var/lib/camera-agent: free space, mounted writable, owner root.",
    ),
}


@dataclass(frozen=True, slots=True)
class Service:
    """Properties of the unit, named after those of systemd; `main_pid` is 0 if it does not run."""

    active_state: str
    sub_state: str = ""
    load_state: str = "loaded"
    result: str = "success"
    unit_file_state: str = "enabled"
    is_changed: bool = False
    restarts: int = 0
    main_pid: int = 0
    exit_code: int = 0
    user: str = ""
    groups: tuple[str, ...] = ()

    @classmethod
    def parse(cls, text: str) -> "Service":
        """Return the properties that `systemctl show` printed as KEY=VALUE lines; a missing one has its default."""
        known = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)

        def number(key: str) -> int:
            value = known.get(key, "")
            return int(value) if value.isdecimal() else 0

        return cls(
            active_state=known.get("ActiveState", "unknown"),
            sub_state=known.get("SubState", ""),
            load_state=known.get("LoadState", "not-found"),
            result=known.get("Result", "success"),
            unit_file_state=known.get("UnitFileState", ""),
            is_changed=known.get("NeedDaemonReload") == "yes",
            restarts=number("NRestarts"),
            main_pid=number("MainPID"),
            exit_code=number("ExecMainStatus"),
            user=known.get("User", ""),
            groups=(*known.get("Group", "").split(), *known.get("SupplementaryGroups", "").split()),
        )

    @property
    def is_active(self) -> bool:
        return self.active_state in {"active", "reloading"}


async def find_service() -> Service | None:
    """Return the agent's unit; None without systemd, or if it has no such unit."""
    words = ["systemctl", "show", UNIT, f"--property={','.join(_PROPERTIES)}"]
    with anyio.move_on_after(_ANSWER_S):
        try:
            answer = await processes.run(words, output_limit_bytes=65_536)
        except OSError:
            return None
        service = Service.parse(answer.stdout.decode(errors="replace"))
        return service if answer.returncode == 0 and service.load_state != "not-found" else None
    return None


def look_at_service(service: Service) -> list[Finding]:
    """Return the finding for the unit's state, and one for each further fault."""
    return [_state(service), *_further(service)]


def _state(service: Service) -> Finding:
    if service.load_state != "loaded":
        step = f"Run `systemctl unmask {UNIT}`" if service.load_state == "masked" else f"Check `{_cat()}`"
        return _failed(f"{UNIT} cannot be started: it is {service.load_state}.", f"{step}.")
    if service.is_active:
        return Finding(_NAME, FindingStatus.OK, f"{UNIT} is active, process {service.main_pid}.")
    if service.active_state == "activating" and service.sub_state != "auto-restart":
        detail = f"{UNIT} is starting, process {service.main_pid}."
        return Finding(_NAME, FindingStatus.WARNING, detail, f"Run this again in a minute. {_LOG}.")
    if service.result != "success":
        return _ended(service)
    if service.unit_file_state == "enabled":
        return _failed(f"{UNIT} is {service.active_state}.", f"Run `systemctl start {UNIT}`.")
    return Finding(
        _NAME,
        FindingStatus.WARNING,
        f"{UNIT} is {service.active_state} and {service.unit_file_state or 'not enabled'}.",
        f"If the agent should run, run `systemctl enable --now {UNIT}`.",
    )


def _ended(service: Service) -> Finding:
    """Return the finding for a unit that failed, or waits for its next start after a failure."""
    now = "waits for its next start" if service.sub_state == "auto-restart" else "has failed"
    fault, step = _cause(service)
    return _failed(f"{UNIT} {now}: its last run {fault}.", step)


def _cause(service: Service) -> tuple[str, str]:
    if service.result == "exit-code" and service.exit_code in _BEFORE_THE_AGENT:
        fault, step = _BEFORE_THE_AGENT[service.exit_code]
        return f"ended with exit code {service.exit_code}: {fault}", step
    if service.result == "exit-code":
        return f"ended with exit code {service.exit_code}", f"{_LOG}; `camera-agent check-config` may help."
    if service.result == "signal":
        return f"was ended by signal {service.exit_code}", f"{_LOG}."
    return _RESULTS.get(service.result, f"had the result {service.result}"), f"{_LOG}."


def _further(service: Service) -> list[Finding]:
    found = []
    if service.is_active and service.unit_file_state == "disabled":
        detail = f"{UNIT} is disabled: it does not start with the system."
        found.append(_warning(detail, f"Run `systemctl enable {UNIT}`."))
    if service.is_active and service.restarts:
        detail = f"systemd has restarted {UNIT} after failures; restarts since it was last started: {service.restarts}."
        found.append(_warning(detail, f"{_LOG}, at the lines before each start."))
    if service.is_changed:
        step = f"Run `systemctl daemon-reload` and `systemctl restart {UNIT}`."
        found.append(_warning(f"The files of {UNIT} were changed after systemd read them.", step))
    return found


def _failed(detail: str, step: str) -> Finding:
    return Finding(_NAME, FindingStatus.FAILED, detail, step)


def _warning(detail: str, step: str) -> Finding:
    return Finding(_NAME, FindingStatus.WARNING, detail, step)


def _cat() -> str:
    return f"systemctl cat {UNIT}"
