"""The sampler of the host's load: it runs only for readers, and its counters never fall."""

import threading

import anyio
import pytest

from agent_core.base.metrics import MetricRegistry
from agent_core.health.host import SAMPLE_S, WANTED_FOR_S, HostSampler, Readings, read_host
from agent_core.testing import SimulatedClock


class Host:
    """A host with one interface more or less, whose counters the test sets."""

    def __init__(self) -> None:
        self.clock = SimulatedClock()
        self.readings = Readings(30.0, 70.0, 0.5, 1.5, (("eth0", 1000, 100),))
        self.reads = 0
        self.fault: OSError | None = None
        self.sampler = HostSampler(self.clock, read=self._read, count_tasks=lambda: 7)

    def _read(self) -> Readings:
        self.reads += 1
        if self.fault is not None:
            raise self.fault
        return self.readings

    def sees(self, busy_s: float, idle_s: float, *network: tuple[str, int, int]) -> None:
        self.readings = Readings(busy_s, idle_s, 0.5, 1.5, network)


@pytest.fixture
def host() -> Host:
    return Host()


async def passing(host: Host, duration_s: float) -> None:
    """Let work come by every four seconds, as the watch over the disks does."""
    for _ in range(int(duration_s / 4)):
        await host.clock.advance(4)
        host.sampler.come_by()


async def test_an_agent_that_is_not_asked_reads_nothing(host: Host) -> None:
    await passing(host, 3600)
    assert (host.reads, host.sampler.load) == (0, None)


async def test_the_first_reader_gets_a_sample_and_the_next_ones_share_it(host: Host) -> None:
    await host.sampler.prepare()
    first = host.sampler.load
    assert first is not None
    assert (first.cpu_ratio, first.memory_ratio, first.load_average, first.tasks) == (0.3, 0.5, 1.5, 7)
    for _ in range(100):
        await host.sampler.prepare()
        host.sampler.come_by()
    assert (host.sampler.load, host.reads) == (first, 1)


async def test_samples_go_on_beside_other_work_and_end_some_time_after_the_last_reader(host: Host) -> None:
    await host.sampler.prepare()
    host.sees(31.0, 79.0, ("eth0", 1500, 150))
    await passing(host, SAMPLE_S + 4)
    assert host.reads == 2
    assert host.sampler.load is not None
    assert host.sampler.load.cpu_ratio == pytest.approx(0.1)  # of the last seconds, not since the boot
    await passing(host, WANTED_FOR_S * 2)
    reads = host.reads
    assert reads <= 2 + WANTED_FOR_S / SAMPLE_S
    await passing(host, 3600)
    assert host.reads == reads
    await host.sampler.prepare()
    assert host.reads == reads + 1


async def test_counters_of_the_network_do_not_fall_when_an_interface_goes_or_starts_again(host: Host) -> None:
    await host.sampler.prepare()
    seen = []
    for network in (
        (("eth0", 2000, 200), ("wwan0", 50, 5)),
        (("eth0", 2500, 250),),
        (("eth0", 10, 1), ("wwan0", 7, 7)),
    ):
        host.sees(40.0, 80.0, *network)
        await passing(host, 12)
        await host.sampler.prepare()
        assert host.sampler.load is not None
        seen.append((host.sampler.load.received_bytes, host.sampler.load.sent_bytes))
    assert seen == [(2050, 205), (2550, 255), (2567, 263)]


@pytest.mark.parametrize("passed", [(0.0, 0.0), (-5.0, 2.0), (2.0, -5.0)], ids=str)
async def test_the_busy_share_stays_between_0_and_1(host: Host, passed: tuple[float, float]) -> None:
    """The kernel's idle time goes backwards now and then."""
    await host.sampler.prepare()
    host.sees(30.0 + passed[0], 70.0 + passed[1])
    await passing(host, 12)
    assert host.sampler.load is not None
    assert 0 <= host.sampler.load.cpu_ratio <= 1


async def test_a_kernel_that_hides_its_counters_leaves_them_out(
    host: Host, caplog: pytest.LogCaptureFixture
) -> None:
    registry = MetricRegistry()
    host.sampler.add_metrics(registry)
    host.fault = PermissionError(13, "Permission denied", "/proc/stat")
    await host.sampler.prepare()
    await passing(host, 60)
    assert host.reads > 2
    assert host.sampler.load is None
    assert not any(each.series for each in registry.collect())
    assert len(caplog.records) == 1
    host.fault = None
    await passing(host, 12)
    assert host.sampler.load is not None


def test_the_counters_of_this_host_are_read() -> None:
    seen = read_host()
    assert seen.busy_s > 0
    assert 0 < seen.memory_ratio < 1
    assert "lo" not in {name for name, _, _ in seen.network}
    assert read_host().busy_s + read_host().idle_s >= seen.busy_s + seen.idle_s


async def test_a_disk_that_hangs_while_the_first_sample_is_taken_holds_up_neither_readers_nor_the_loop() -> (
    None
):
    mended, asked, clock = threading.Event(), list[int](), SimulatedClock()

    def read() -> Readings:
        asked.append(threading.get_ident())
        mended.wait()
        return Readings(1.0, 1.0, 0.5, 0.0, ())

    sampler = HostSampler(clock, read=read, limit_s=0.05)
    try:
        with anyio.fail_after(20):
            await sampler.prepare()
            await sampler.prepare()
        await clock.advance(SAMPLE_S * 2)
        sampler.come_by()
        assert (len(asked), sampler.load) == (1, None)
        assert threading.get_ident() not in asked
        mended.set()
        with anyio.fail_after(20):
            while sampler.load is None:  # soon, although it is read all the time
                await clock.advance(SAMPLE_S / 2 + 0.1)
                await sampler.prepare()
    finally:
        mended.set()
