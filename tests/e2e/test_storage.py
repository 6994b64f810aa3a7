"""The methods about storage on a whole agent: its room, a policy through a restart, a cleanup, a disk below its floor."""

from pathlib import Path
from typing import Any

import pytest

from agent_core.client import CallFailed
from agent_core.testing import RunningAgent, running_agent

PLUGINS = {"enabled": ["virtual_camera"], "virtual_camera": {"cameras": [{"name": "Test", "id": "camera0"}]}}


async def shoot(agent: RunningAgent, count: int) -> None:
    async with agent.client() as client:
        for number in range(count):
            await client.call("take_snapshot", device="camera0", filename=f"{number}.jpg")


def shot(folder: Path) -> list[str]:
    return sorted(each.name for each in (folder / "state/snapshots/camera0").glob("*.jpg"))


async def test_the_room_the_policy_and_a_cleanup(tmp_path: Path) -> None:
    config: dict[str, Any] = {"plugins": PLUGINS}
    async with running_agent(config=config, folder=tmp_path) as agent:
        await shoot(agent, 3)
        async with agent.client("admin") as client:
            info = await client.call("get_storage_info")
            assert info["total_space"] >= info["used_space"] > 0
            assert 0 < info["usage_percentage"] <= 100
            assert isinstance(info["low_space_warning"], bool)
            assert "hours_left" not in info
            assert info["retention"] == {
                "policy_type": "manual",
                "enabled": False,
                "message": "No policy was set: the limits of the configuration apply. "
                "There is no limit, so nothing is deleted.",
            }
            nothing = await client.call("cleanup_old_files")
            assert (nothing["cleanup_executed"], nothing["files_deleted"]) == (False, 0)
            size = sum(each.stat().st_size for each in (tmp_path / "state/snapshots/camera0").glob("*.jpg"))
            last = (tmp_path / "state/snapshots/camera0/2.jpg").stat().st_size
            assert (info["recordings_size"], info["snapshots_size"]) == (0, size)
            policy = {"policy_type": "manual", "enabled": True, "max_size_gb": last / 1e9}
            answer = await client.call("set_retention_policy", **policy)
            assert {key: answer[key] for key in policy} == policy
            assert (await client.call("get_storage_info"))["retention"] == answer
            assert "cleanup_old_files" in answer["message"]
    assert len(shot(tmp_path)) == 3
    async with running_agent(config=config, folder=tmp_path) as agent, agent.client("admin") as client:
        cleaned = await client.call("cleanup_old_files")
        assert (cleaned["cleanup_executed"], cleaned["files_deleted"]) == (True, 2)
        assert cleaned["space_freed"] == size - last
        assert shot(tmp_path) == ["2.jpg"]
        assert (await client.call("get_storage_info"))["snapshots_size"] == last


@pytest.mark.parametrize(
    ("params", "param"),
    [
        ({"policy_type": "age", "enabled": True}, "max_age_days"),
        ({"policy_type": "size", "enabled": True}, "max_size_gb"),
        ({"policy_type": "size", "enabled": True, "max_age_days": 1}, "max_size_gb"),
        ({"policy_type": "age", "enabled": True, "max_age_days": 1, "max_size_gb": 0}, "max_size_gb"),
        ({"policy_type": "age", "enabled": True, "max_age_days": 0}, "max_age_days"),
        ({"policy_type": "size", "enabled": True, "max_size_gb": -1}, "max_size_gb"),
        ({"policy_type": "never", "enabled": True}, "policy_type"),
        ({"policy_type": "manual"}, "enabled"),
    ],
)
async def test_a_policy_without_sense_is_refused(
    agent: RunningAgent, params: dict[str, Any], param: str
) -> None:
    async with agent.client("admin") as client:
        with pytest.raises(CallFailed) as caught:
            await client.call("set_retention_policy", **params)
    assert caught.value.code == -32602
    assert caught.value.data["param"] == param


@pytest.mark.parametrize(
    ("kind", "applied", "other", "enabled"),
    [
        ("age", "max_age_days", "max_size_gb", True),
        ("size", "max_size_gb", "max_age_days", True),
        ("age", "max_age_days", "max_size_gb", False),
    ],
)
async def test_the_limit_of_another_type_is_accepted_and_not_applied(
    agent: RunningAgent, kind: str, applied: str, other: str, *, enabled: bool
) -> None:
    params = {"policy_type": kind, "enabled": enabled, applied: 30, other: 20}
    async with agent.client("admin") as client:
        answer = await client.call("set_retention_policy", **params)
    assert (answer[applied], answer.get(other)) == (30, None)
    assert f"{other} is not applied" in answer["message"]
    assert "20" not in answer["message"]


async def test_a_manual_policy_keeps_both_limits(agent: RunningAgent) -> None:
    params = {"policy_type": "manual", "enabled": True, "max_age_days": 30, "max_size_gb": 20}
    async with agent.client("admin") as client:
        answer = await client.call("set_retention_policy", **params)
    assert answer == {**params, "message": "Nothing is deleted by itself; cleanup_old_files deletes."}


@pytest.fixture
async def agent() -> Any:
    async with running_agent() as running:
        yield running


async def test_a_configured_number_is_applied_with_the_snapshot_that_is_too_many(tmp_path: Path) -> None:
    import anyio

    config: dict[str, Any] = {"plugins": PLUGINS, "snapshots": {"max_count": 2}}
    async with running_agent(config=config, folder=tmp_path) as agent:
        await shoot(agent, 4)
        with anyio.fail_after(60):
            while shot(tmp_path) != ["2.jpg", "3.jpg"]:
                await anyio.sleep(0.05)


async def test_an_agent_with_a_damaged_policy_runs_and_says_so(tmp_path: Path) -> None:
    import anyio

    config: dict[str, Any] = {"plugins": PLUGINS, "snapshots": {"max_count": 1}}
    (tmp_path / "state").mkdir()
    (tmp_path / "state/retention.json").write_text("{")
    async with running_agent(config=config, folder=tmp_path) as agent:
        await shoot(agent, 3)
        async with agent.client("admin") as client:
            with anyio.fail_after(30):
                while "retention" not in (
                    checks := {each["name"]: each for each in (await client.call("get_status"))["checks"]}
                ):
                    await anyio.sleep(0.05)
            assert checks["retention"]["status"] == "WARNING"
            assert "set_retention_policy" in checks["retention"]["detail"]
            assert len(shot(tmp_path)) == 3
            await client.call("set_retention_policy", policy_type="manual", enabled=False)
            with anyio.fail_after(60):
                while shot(tmp_path) != ["2.jpg"]:
                    await anyio.sleep(0.05)
