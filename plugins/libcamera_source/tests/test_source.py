"""Source and its processes. The programs here are scripted: they show how processes are handled, and nothing of libcamera."""

import hashlib
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import psutil
import pytest

from agent_core.plugin import CaptureFailed, FindingStatus, FrameSocket, WorkerPool
from agent_core.plugin.frames import FrameBroker
from agent_core.testing import FakeAgent, RecordingReport, children
from agent_core.testing.scripted_producer import a_jpeg
from libcamera_source.checks import LibcameraCheck
from libcamera_source.producer import broker_settings
from libcamera_source.settings import CaptureSettings, LibcameraSettings
from libcamera_source.source import LibcameraSource
from libcamera_source.tools import CameraLock
from plugins.libcamera_source.tests.conftest import HANG, Programs

pytestmark = pytest.mark.anyio
ONE, TWO = "/base/i2c@1/imx219@10", "/base/i2c@2/ov5647@36"
USB = "/base/soc/usb@7e980000/usb1@1-1.2:1.0-32e4:9422"
LIMIT_S = 60


@asynccontextmanager
async def watched(folder: Path, programs: Programs, **settings: Any) -> AsyncIterator[RecordingReport]:
    report = RecordingReport()
    chosen = LibcameraSettings.model_validate({"list_interval_s": 2, **settings})
    source = LibcameraSource(chosen, FakeAgent(folder), search_path=programs.path)
    with anyio.fail_after(LIMIT_S):
        async with anyio.create_task_group() as tg:
            await tg.start(source.watch, report)
            yield report
            tg.cancel_scope.cancel()
    assert not children()


def broker_of(report: RecordingReport, key: str = ONE) -> FrameBroker:
    frames = report.cameras[key].frames
    assert isinstance(frames, FrameBroker)
    return frames


async def test_cameras_are_told_with_their_identity(folder: Path, programs: Programs) -> None:
    programs.list_cameras(f"1: 'imx219' ({ONE})", f"2: Internal back camera ({TWO})")
    programs.capture_pictures()
    table = {"match": "ov5647", "id": "camera7", "width": 640, "height": 480, "fps": 10}
    async with watched(folder, programs, cameras=[table]) as report:
        await report.until(("connected", ONE), ("connected", TWO))
        one, two = report.cameras[ONE], report.cameras[TWO]
    assert (one.name, one.fingerprint.port, one.fingerprint.descriptor) == ("imx219", ONE, "imx219")
    assert (two.name, two.configured_id, two.resolution, two.fps) == ("ov5647", "camera7", (640, 480), 10)
    assert isinstance(one.media_input, FrameSocket)
    assert one.controls == ()
    assert one.panel is None


async def test_pictures_arrive_and_no_process_stays(folder: Path, programs: Programs) -> None:
    programs.list_cameras(f"1: 'imx219' ({ONE})")
    programs.capture_pictures()
    async with watched(folder, programs) as report:
        frame = await broker_of(report).fresh(0.0, settled=False)
        assert (frame.width, frame.height) == (64, 48)


async def test_a_program_that_ends_is_started_again(folder: Path, programs: Programs) -> None:
    programs.list_cameras(f"1: 'imx219' ({ONE})")
    programs.capture_pictures(then="sys.exit(3)")
    async with watched(folder, programs) as report:
        broker = broker_of(report)
        with broker.demand():
            while broker.stats.starts < 3:
                await broker.changed()
        assert ("failed", ONE) in report.history
        assert "ended with status 3" in report.failures[0][1]


async def test_what_holds_the_camera_is_told_until_it_works(folder: Path, programs: Programs) -> None:
    programs.list_cameras(f"1: 'imx219' ({ONE})")
    programs.capture("import sys; sys.exit('ERROR: *** failed to acquire camera ***')")
    async with watched(folder, programs) as report:
        broker = broker_of(report)
        with pytest.raises(CaptureFailed) as failure:
            await broker.fresh(0.0)
        assert failure.value.reason == "device_busy"
        programs.capture_pictures()
        await broker.after(0)
        while report.history[-1] != ("connected", ONE):
            await broker.changed()


async def test_a_program_that_hangs_is_killed_with_its_children(folder: Path, programs: Programs) -> None:
    programs.list_cameras(f"1: 'imx219' ({ONE})")
    programs.capture(HANG)
    async with watched(folder, programs) as report:
        broker = broker_of(report)
        with broker.demand():
            groups: set[int] = set()
            while not groups:
                await anyio.sleep(0.05)
                groups = {os.getpgid(pid) for pid in children()} - {os.getpgid(0)}
    assert not {each for each in alive() if os.getpgid(each) in groups}


def alive() -> set[int]:
    """Return the processes that have not ended; where nothing collects orphans, ended ones stay as zombies."""
    found = set()
    for process in psutil.process_iter(["status"]):
        if process.info["status"] != psutil.STATUS_ZOMBIE:
            found.add(process.pid)
    return found


async def test_a_program_that_goes_silent_is_explained_and_started_again(
    folder: Path, programs: Programs
) -> None:
    programs.list_cameras(f"1: 'imx219' ({ONE})")
    programs.capture_pictures(
        then="sys.stderr.write('ERROR RPI Camera frontend has timed out!\\n'); time.sleep(600)"
    )
    async with watched(folder, programs) as report:
        broker = broker_of(report)
        with broker.demand():
            while broker.stats.starts < 2:
                await broker.changed()
        assert "sensor has stopped" in report.failures[0][1]


async def test_a_program_that_prints_garbage_is_counted(folder: Path, programs: Programs) -> None:
    programs.list_cameras(f"1: 'imx219' ({ONE})")
    programs.capture("import os\nwhile True: os.write(1, os.urandom(5000))")
    async with watched(folder, programs) as report:
        broker = broker_of(report)
        with broker.demand():
            while dict(broker.stats.dropped).get("damaged", 0) < 100:
                await anyio.sleep(0.05)
        assert broker.latest() is None


async def test_cameras_come_and_go_with_the_list(folder: Path, programs: Programs) -> None:
    programs.list_cameras(f"1: 'imx219' ({ONE})")
    programs.capture_pictures()
    async with watched(folder, programs) as report:
        programs.list_cameras(f"1: 'ov5647' ({TWO})")
        await report.wait_count(3)
        assert sorted(report.history) == [("connected", ONE), ("connected", TWO), ("disconnected", ONE)]


async def test_a_camera_that_delivers_stays_though_a_list_misses_it(folder: Path, programs: Programs) -> None:
    programs.list_cameras(f"1: 'imx219' ({ONE})")
    programs.capture_pictures()
    async with watched(folder, programs, defaults={"fps": 0.1}) as report:
        broker = broker_of(report)
        with broker.demand():
            await broker.after(0)
            programs.list_cameras(f"1: 'ov5647' ({TWO})")
            await report.wait_count(2)
        assert report.history == [("connected", ONE), ("connected", TWO)]


@pytest.mark.parametrize("fault", ["import sys; sys.exit(1)", "print('what?')"])
async def test_a_list_that_fails_takes_no_camera(folder: Path, programs: Programs, fault: str) -> None:
    programs.list_cameras(f"1: 'imx219' ({ONE})")
    programs.capture_pictures()
    async with watched(folder, programs) as report:
        programs.write("cam", f"open({str(folder / 'asked')!r}, 'w'); {fault}")
        while not (folder / "asked").exists():
            await anyio.sleep(0.05)
        programs.list_cameras(f"1: 'imx219' ({ONE})", f"2: 'ov5647' ({TWO})")
        await report.until(("connected", ONE), ("connected", TWO))


async def test_a_camera_that_fails_by_our_fault_takes_no_other_one(folder: Path, programs: Programs) -> None:
    programs.list_cameras(f"1: 'imx219' ({ONE})", f"2: 'ov5647' ({TWO})")
    programs.capture_pictures()
    in_the_way = folder / f"libcamera_{hashlib.sha256(ONE.encode()).hexdigest()[:12]}.sock"
    (in_the_way / "not empty").mkdir(parents=True)
    async with watched(folder, programs) as report:
        await report.wait_count(2)
        assert sorted(report.history) == [("connected", TWO), ("failed", ONE)]
        assert "internal error" in report.failures[0][1]
        assert (await broker_of(report, TWO).fresh(0.0, settled=False)).data
        (in_the_way / "not empty").rmdir()
        in_the_way.rmdir()
        while report.history[-1] != ("connected", ONE):
            await anyio.sleep(0.05)


async def test_a_table_that_matches_no_camera_is_named_and_one_is_first_taken_literally(
    folder: Path, programs: Programs, caplog: pytest.LogCaptureFixture
) -> None:
    odd = "/base/i2c@1/imx[a]"
    programs.list_cameras(f"1: 'imx219' ({odd})")
    programs.capture_pictures()
    tables = [{"match": "imx477"}, {"match": odd, "width": 320, "height": 240}]
    async with watched(folder, programs, cameras=tables) as report:
        await report.until(("connected", odd))
        assert report.cameras[odd].resolution == (320, 240)
    (told,) = [record.getMessage() for record in caplog.records if "matches" in record.getMessage()]
    assert told == (
        "no listed camera matches 'imx477', a table of plugins.libcamera_source.cameras;"
        f" libcamera lists '{odd}', 'imx219'"
    )
    chosen = LibcameraSettings.model_validate({"cameras": tables})
    findings = await LibcameraCheck(chosen, search_path=programs.path).look()
    assert findings[-1].detail == "No listed camera matches 'imx477' (plugins.libcamera_source.cameras)."


async def test_usb_cameras_and_disabled_ones_are_left_alone(folder: Path, programs: Programs) -> None:
    programs.list_cameras(f"1: 'imx219' ({ONE})", f"2: 'USB Camera' ({USB})", f"3: 'ov5647' ({TWO})")
    programs.capture_pictures()
    disabled = {"match": "ov5647", "enabled": False}
    async with watched(folder, programs, cameras=[disabled]) as report:
        await report.until(("connected", ONE))
    async with watched(folder, programs, cameras=[disabled], usb=True) as report:
        await report.until(("connected", ONE), ("connected", USB))


async def test_without_programs_it_waits_for_them(folder: Path, programs: Programs) -> None:
    async with watched(folder, programs) as report:
        assert report.history == []
        programs.capture_pictures()
        programs.list_cameras(f"1: 'imx219' ({ONE})")
        await report.until(("connected", ONE))


async def test_a_program_without_its_part_for_libcamera_waits_for_it(
    folder: Path, programs: Programs
) -> None:
    programs.write("gst-inspect-1.0", "import sys; sys.exit(1)")
    programs.capture_pictures()
    programs.list_cameras(f"1: 'imx219' ({ONE})")
    async with watched(folder, programs, program="gstreamer") as report:
        await anyio.wait_all_tasks_blocked()
        assert report.history == []
        programs.write("gst-inspect-1.0", "")
        await report.until(("connected", ONE))


async def test_the_place_in_the_list_may_change(folder: Path, programs: Programs) -> None:
    """A program that takes the camera by its number must get the present one."""

    def write(*sensors: str) -> None:
        lines = [f"{number} : x [1x1] ({each})" for number, each in enumerate(sensors)]
        programs.write(
            "rpicam-vid",
            "import sys, time\n"
            "if '--list-cameras' in sys.argv:\n"
            f"    sys.exit(print({chr(10).join(('Available cameras', *lines))!r}))\n"
            f"open({str(folder / 'asked')!r}, 'a').write(sys.argv[sys.argv.index('--camera') + 1])\n"
            f"sys.stdout.buffer.write(2 * {a_jpeg()!r})\n",
        )

    write(TWO)
    async with watched(folder, programs) as report:
        broker = broker_of(report, TWO)
        with broker.demand():
            await broker.after(0)
        write(ONE, TWO)
        while ONE not in report.cameras:
            await anyio.sleep(0.05)
        with broker.demand():
            while not (folder / "asked").read_text().endswith("1"):
                await broker.changed()
    assert (folder / "asked").read_text().startswith("0")


async def test_programs_that_replace_others_are_used_without_a_restart(
    folder: Path, programs: Programs
) -> None:
    def write(name: str) -> None:
        programs.write(
            name,
            "import sys\n"
            f"if '--list-cameras' in sys.argv: sys.exit(print('Available cameras\\n0 : imx219 [1x1] ({ONE})'))\n"
            f"open({str(folder / name)!r}, 'w')\n"
            f"sys.stdout.buffer.write(2 * {a_jpeg()!r})\n",
        )

    write("libcamera-vid")
    async with watched(folder, programs, defaults={"warm_ttl_s": 0}) as report:
        broker = broker_of(report)
        await broker.fresh(0.0, settled=False)
        (programs.folder / "libcamera-vid").unlink()
        write("rpicam-vid")
        with broker.demand():
            while not (folder / "rpicam-vid").exists():
                await anyio.sleep(0.05)
            await broker.after(broker.stats.frames)
        assert report.history.count(("disconnected", ONE)) == 0


async def test_a_list_that_hangs_holds_up_no_start(folder: Path, programs: Programs) -> None:
    programs.capture_pictures()
    programs.write("cam", HANG)
    async with watched(folder, programs) as report:
        assert report.history == []


async def test_lists_that_open_cameras_and_captures_wait_for_each_other() -> None:
    lock, order = CameraLock(), list[str]()

    async def capture() -> None:
        async with lock.in_use():
            order.append("captures")

    async with anyio.create_task_group() as tg:
        async with lock.listing():
            tg.start_soon(capture)
            await anyio.wait_all_tasks_blocked()
            assert lock.is_used
            order.append("listed")
    assert (order, lock.is_used) == (["listed", "captures"], False)


async def test_a_list_that_hangs_is_ended_for_a_capture() -> None:
    lock, order = CameraLock(wait_s=0.05), list[str]()

    async def hang() -> None:
        async with lock.listing() as scope:
            with scope:
                await anyio.sleep_forever()
        order.append("list ended")

    with anyio.fail_after(LIMIT_S):
        async with anyio.create_task_group() as tg:
            tg.start_soon(hang)
            await anyio.wait_all_tasks_blocked()
            async with lock.in_use():
                order.append("captures")
            async with lock.listing():
                order.append("lists again")
    assert sorted(order) == ["captures", "list ended", "lists again"]


def test_a_program_is_judged_also_if_each_use_is_short() -> None:
    assert broker_settings(CaptureSettings(warm_ttl_s=0)).awaits_first


async def test_doctor_names_the_program_and_the_cameras(programs: Programs, tmp_path: Path) -> None:
    (missing,) = await LibcameraCheck(LibcameraSettings(), search_path=programs.path).look()
    assert "No program" in missing.detail
    programs.list_cameras(f"1: 'imx219' ({ONE})", f"2: 'USB Camera' ({USB})")
    programs.capture_pictures()
    findings = await LibcameraCheck(LibcameraSettings(), search_path=programs.path, root=tmp_path).look()
    told = [f"{each.name}: {each.detail}" for each in findings]
    assert told == [
        "libcamera: Cameras are captured by gst-launch-1.0 and listed by cam.",
        "libcamera: libcamera lists 2 cameras.",
        f"imx219 ({ONE}): The camera is used.",
        f"USB Camera ({USB}): The camera is a USB camera, which v4l2_tier serves.",
    ]
    assert await WorkerPool(1).run(os.listdir, tmp_path) == []


async def test_doctor_names_a_tuning_file_that_is_not_there(programs: Programs, tmp_path: Path) -> None:
    programs.list_cameras(f"1: 'imx219' ({ONE})")
    programs.capture_pictures()
    there, missing = tmp_path / "imx219.json", tmp_path / "ov5647.json"
    await anyio.Path(there).write_text("{}")
    settings = LibcameraSettings.model_validate(
        {"defaults": {"tuning_file": there}, "cameras": [{"match": ONE, "tuning_file": missing}]}
    )
    findings = await LibcameraCheck(settings, search_path=programs.path, root=tmp_path).look()
    told = [each.detail for each in findings if each.status is FindingStatus.FAILED]
    assert told == [f"This account cannot read the tuning_file {str(missing)!r}, or there is no such file."]
