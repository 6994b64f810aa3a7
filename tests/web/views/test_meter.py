"""Numbers of views in `/metrics`."""

import anyio
from prometheus_client.parser import text_string_to_metric_families

from tests.web.views.rig import Box, box, parts_of

PREFIX = "camera_agent_"


async def numbers(it: Box) -> dict[tuple[str, ...], float]:
    """Return the samples of views by name and values of their labels."""
    text = (await it.http.get("/metrics", headers=it.bearer("admin"))).text
    return {
        (each.name.removeprefix(PREFIX), *each.labels.values()): each.value
        for family in text_string_to_metric_families(text)
        for each in family.samples
        if each.name.startswith((f"{PREFIX}view_", f"{PREFIX}live_views"))
    }


async def test_pictures_viewers_and_refusals_are_counted() -> None:
    async with box({"views": {"max_live_per_camera": 1}}) as it:
        assert await numbers(it) == {}
        headers = it.bearer()
        for device, status in (("camera0", 200), ("camera0", 200), ("camera1", 200), ("camera9", 404)):
            answer = await it.http.get(f"/cameras/{device}/snapshot.jpg", headers=headers)
            assert answer.status_code == status
        await it.http.head("/cameras/camera0/snapshot.jpg", headers=headers)
        assert (await it.http.get("/cameras/camera0/snapshot.jpg")).status_code == 401
        assert (await it.http.post("/cameras/camera0/whep", headers=headers)).status_code == 415
        async with it.http.stream("GET", "/cameras/camera0/live.mjpeg", headers=headers) as response:
            parts = parts_of(response)
            for _ in range(3):
                await anext(parts)
            refused = await it.http.get("/cameras/camera0/live.mjpeg", headers=headers)
            assert (refused.status_code, refused.json()["reason"]) == (429, "too_many_views")
            seen = await numbers(it)
        live = seen.pop(("view_pictures_total", "live"))
        assert live >= 3
        assert seen == {
            ("live_views", "camera0"): 1,
            ("view_pictures_total", "snapshot"): 3,
            ("view_refusals_total", "429", "live"): 1,
            ("view_refusals_total", "401", "snapshot"): 1,
            ("view_refusals_total", "404", "snapshot"): 1,
            ("view_refusals_total", "415", "whep"): 1,
        }
        with anyio.fail_after(30):
            while ("live_views", "camera0") in await numbers(it):
                await anyio.sleep(0.05)
