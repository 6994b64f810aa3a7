"""Fixtures for all tests of the workspace, and the watch over everything that clients are sent."""

import logging
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest

from agent_core.testing import document_of
from tests.canary import ArgumentWatch, ReceivedWatch, SecretWatch, secret_in
from tests.contract_watch import Contract, ContractWatch, Outcome

pytest_plugins = ("tests.media_servers",)

_TRANSCRIPT = pytest.StashKey[Path]()
_RECEIVED = pytest.StashKey[list[int]]()
_WATCHES = pytest.StashKey[tuple[ReceivedWatch, ArgumentWatch]]()
_CONTRACT_WATCH = pytest.StashKey[ContractWatch]()
_CONTRACT = pytest.StashKey[Contract]()
#: Fixtures of servers that are no agents: their methods have names of the contract, and answers of their own.
_OTHER_SERVERS = frozenset({"toy", "raw", "cut_off"})

#: What a worker of pytest-xdist tells the process that started it, under this key of its `workeroutput`.
_KEY = "received_and_leaks"
_OUTCOMES_KEY = "outcomes"
#: Methods that a run must have called with success before its table says more about the tests than about their selection.
_MANY_METHODS = 30


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_RECEIVED] = [0, 0]
    received, given = ReceivedWatch(), ArgumentWatch()
    config.stash[_WATCHES] = (received, given)
    sys.addaudithook(given.look)
    frames = logging.getLogger("websockets.client")
    frames.setLevel(logging.DEBUG)
    # Before the other filter, which lets nothing through.
    config.stash[_CONTRACT_WATCH] = ContractWatch()
    frames.addFilter(config.stash[_CONTRACT_WATCH])
    frames.addFilter(received)
    # A shell starts what goes on in the background with SIGINT ignored, and children would inherit that.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def transcript(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Path:
    """Everything that clients of this process of the run received, one text a line."""
    path = tmp_path_factory.mktemp("transcript") / "received.jsonl"
    path.touch()
    request.config.stash[_TRANSCRIPT] = path
    return path


@pytest.fixture(scope="session")
def observe(transcript: Path) -> Callable[[str], None]:
    """Give it to every client: what they receive is searched for device paths and secrets at the end of the run."""

    def keep(text: str) -> None:
        with transcript.open("a") as file:
            file.write(text + "\n")

    return keep


class _Undeclared(logging.Handler):
    """Keeps what the agent logs about errors that a method raises and `rpc.discover` does not declare."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        if "does not declare" in record.msg:
            self.messages.append(record.getMessage())


@pytest.fixture(autouse=True)
def undeclared() -> Iterator[list[str]]:
    """Fail a test in which a method raised an error that `rpc.discover` does not declare, and that the test leaves here."""
    logger, handler = logging.getLogger("camera_agent.rpc"), _Undeclared()
    logger.addHandler(handler)
    yield handler.messages
    logger.removeHandler(handler)
    if handler.messages:
        pytest.fail("; ".join(handler.messages))


def _contract(config: pytest.Config) -> Contract:
    """Return the document, which an agent of this process has made; once a process, and only if a client was answered."""
    if _CONTRACT not in config.stash:
        config.stash[_CONTRACT] = Contract(anyio.run(document_of))
    return config.stash[_CONTRACT]


@pytest.fixture(autouse=True)
def valid_by_the_document(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail a test in which a client got a result, an error or an event that the document does not describe.

    The mark `other_server` is for tests of servers that are no agents.
    """
    watch = request.config.stash[_CONTRACT_WATCH]
    watch.take()
    before = {*watch.outcomes}
    yield
    received = watch.take()
    if _OTHER_SERVERS & {*request.fixturenames} or request.node.get_closest_marker("other_server"):
        watch.outcomes = before
        return
    if not received:
        return
    contract = _contract(request.config)
    faults = [fault for name, value in received for fault in contract.faults(name, value)]
    if faults:
        pytest.fail(f"{len(faults)} texts are not valid by rpc.discover, the first: {faults[0]}")


@pytest.fixture
def watches(request: pytest.FixtureRequest) -> tuple[ReceivedWatch, ArgumentWatch]:
    """The watches over all that WebSocket clients of this process receive, and over the programs that it starts."""
    return request.config.stash[_WATCHES]


@pytest.fixture(autouse=True)
def no_secret_anywhere(
    watches: tuple[ReceivedWatch, ArgumentWatch], request: pytest.FixtureRequest
) -> Iterator[None]:
    """Fail a test in which a secret, a token or an API key was logged, sent to a client or given as an argument.

    The signature of a link must not be logged either. Programs of a test that take passwords only as arguments, such as
    curl, need the mark `secret_arguments`.
    """
    logger, logged = logging.getLogger(), SecretWatch()
    received, given = watches
    logger.addHandler(logged)
    yield
    logger.removeHandler(logged)
    if request.node.get_closest_marker("secret_arguments") is not None:
        given.found.clear()
    for where, found in (("logged", logged.found), ("received", received.found), ("arguments", given.found)):
        texts, found[:] = [*found], []
        if texts:
            pytest.fail(f"{len(texts)} texts with a secret were {where}, the first: {texts[0]}")


def _tell_outcomes(config: pytest.Config, found: set[Outcome]) -> list[str]:
    """Return the table of methods and what the tests have seen of each; empty unless most of the tests ran."""
    called = {method for method, _, code in found if code == 0}
    if len(called) < _MANY_METHODS:
        return []
    return [
        "",
        "method, its role, outcomes (in brackets: not seen) | roles that called it",
        *_contract(config).table(found),
    ]


def _add(config: pytest.Config, received: int, leaks: int) -> None:
    total = config.stash[_RECEIVED]
    total[0] += received
    total[1] += leaks


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any, error: object) -> None:
    """A worker of pytest-xdist has ended; one that died has told nothing, and its test has failed."""
    told = getattr(node, "workeroutput", {})
    _add(node.config, *told.get(_KEY, (0, 0)))
    node.config.stash[_CONTRACT_WATCH].outcomes |= {tuple(each) for each in told.get(_OUTCOMES_KEY, ())}


def pytest_sessionfinish(session: pytest.Session) -> None:
    """No reply, error or event of the whole run may hold a device path or a secret."""
    config = session.config
    path = config.stash.get(_TRANSCRIPT, None)
    if path is not None:
        texts = path.read_text().splitlines()
        _add(config, len(texts), sum("/dev/" in text or secret_in(text) for text in texts))
    if hasattr(config, "workeroutput"):
        config.workeroutput[_KEY] = config.stash[_RECEIVED]
        config.workeroutput[_OUTCOMES_KEY] = [list(each) for each in config.stash[_CONTRACT_WATCH].outcomes]
    elif config.stash[_RECEIVED][1]:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, exitstatus: int, config: pytest.Config
) -> None:
    for line in _tell_outcomes(config, config.stash[_CONTRACT_WATCH].outcomes):
        terminalreporter.write_line(line)
    received, leaks = config.stash[_RECEIVED]
    if leaks:
        terminalreporter.write_line(
            f"FAILED: {leaks} texts with a device path or a secret reached clients", red=True
        )
    elif received:
        terminalreporter.write_line(
            f"{received} texts received by clients, none with a device path or a secret"
        )
