"""The benchmark of many bridges at one broker, small: every agent, call and event arrives. It measures nothing here."""

from pathlib import Path

import pytest

from bench.fleet_scale import Plan, Result, measure
from bench.fleet_scale_wire import Broker

#: Retained topics of one agent: its status, itself, its health, and a camera and a recording for each of two cameras.
TOPICS = 7


async def shown(plan: Plan, folder: Path) -> Result:
    if Broker.program() is None:
        pytest.skip("no Mosquitto here: Debian's package mosquitto has it")
    result = await measure(plan, folder)
    assert result.births == [plan.agents, plan.agents]  # the second time after the broker was killed
    assert result.retained == [TOPICS * plan.agents, TOPICS * plan.agents]
    assert (result.replies.good, result.replies.errors) == (plan.agents, [])
    assert result.delivered == plan.events * plan.agents
    return result


async def test_twenty_bridges_come_back_after_the_broker_and_answer(tmp_path: Path) -> None:
    await shown(Plan(agents=20, processes=2, idle_s=0.0, spread_s=1.0, events=3, is_counting=False), tmp_path)


@pytest.mark.release
@pytest.mark.timeout(900)
async def test_a_thousand_bridges_stay_small(tmp_path: Path) -> None:
    result = await shown(Plan(agents=1000, idle_s=10.0), tmp_path)
    birth, idle, *_ = result.rows
    # Generous limits, which only growth with the number of agents, or a storm, would pass.
    assert birth.up < 40
    assert birth.up_bytes < 50_000
    assert idle.up < 5
    assert result.bridge_kb < 2_000
    assert result.broker_kb < 100
