"""`/cameras/{device}/snapshot.jpg` of a whole agent."""

import base64
import io
from datetime import UTC, datetime

import anyio
import pytest
from PIL import Image
from starlette.types import Message

from agent_core.base.models import CapturedAtSource, Picture, PictureFormat
from agent_core.plugin.jpeg import mend
from agent_core.snapshots.models import TakenPicture
from agent_core.web.resource import GuardedSend
from agent_core.web.views.snapshot import _send_picture
from tests.toy_server import until
from tests.web.views.rig import CLOCK, SHADES, box, size_of

PATH = "/cameras/camera0/snapshot.jpg"


async def test_the_picture_is_the_camera_s_own_and_is_not_stored() -> None:
    async with box() as it:
        response = await it.http.get(PATH, headers=it.bearer())
        assert response.status_code == 200
        assert response.content in SHADES
        assert response.headers["content-type"] == "image/jpeg"
        assert response.headers["cache-control"] == "no-store"
        assert response.headers["cross-origin-resource-policy"] == "same-origin"
        assert response.headers["content-security-policy"] == "frame-ancestors 'none'"
        assert response.headers["x-content-type-options"] == "nosniff"
        assert (response.headers["x-tier"], response.headers["x-tier-name"]) == ("0", "frames")
        assert response.headers["x-resolution"] == "64x48"
        captured_at = datetime.fromisoformat(response.headers["x-captured-at"])
        assert abs((datetime.now(UTC) - captured_at).total_seconds()) < 60
        assert float(response.headers["x-timestamp"]) == pytest.approx(captured_at.timestamp(), abs=0.001)
        assert 0 <= int(response.headers["x-age-ms"]) < 60_000
        assert not list((it.agent.folder / "state/snapshots").rglob("*.jpg"))


async def test_width_quality_and_format() -> None:
    async with box() as it:
        small = await it.http.get(PATH, params={"width": 32}, headers=it.bearer())
        assert size_of(small.content) == (32, 24)
        poor = await it.http.get(PATH, params={"quality": 1}, headers=it.bearer())
        assert poor.content not in SHADES
        png = await it.http.get(PATH, params={"format": "png", "width": 20}, headers=it.bearer())
        assert png.headers["content-type"] == "image/png"
        with Image.open(io.BytesIO(png.content)) as picture:
            assert (picture.format, picture.size) == ("PNG", (20, 15))


async def test_callers_at_the_same_time_share_captures() -> None:
    async with box() as it:
        headers, answers = it.bearer(), []
        slots = it.agent.parts.server._slots
        it.stage.may_take = anyio.Event()

        async def get() -> None:
            answers.append(
                await it.http.get("/cameras/camera1/snapshot.jpg", params={"max_age_ms": 0}, headers=headers)
            )

        async with anyio.create_task_group() as tasks:
            for _ in range(20):
                tasks.start_soon(get)
            await until(lambda: len(slots) == 20 and slots.anonymous == 0)  # all were given access
            await anyio.wait_all_tasks_blocked()
            it.stage.may_take.set()
        assert {each.status_code for each in answers} == {200}
        assert {each.headers["x-tier-name"] for each in answers} == {"stage tier"}
        assert it.stage.taken == 1  # all have asked before it was exposed


async def test_clients_that_do_not_read_share_a_large_picture() -> None:
    """The server copies what a client has not taken yet: a hundred times 5 MB for a camera with 8 million pixels."""
    data = bytes(range(256)) * 5000
    pieces: list[bytes] = []

    async def take(message: Message) -> None:
        pieces.append(message.get("body", b""))

    now = CLOCK.now()
    picture = Picture(data, PictureFormat.JPG, 3840, 2160, 0.0, CapturedAtSource.ARRIVAL)
    await _send_picture(TakenPicture(picture, 0, "frames", 0.1, now, 0.0, now), GuardedSend(take))
    assert b"".join(pieces) == data
    assert max(map(len, pieces)) <= 256 << 10


@pytest.mark.parametrize("comments", [0, 3, 4, 5, 40])
async def test_a_picture_of_any_size_arrives_whole(comments: int) -> None:
    comment = b"\xff\xfe" + (65_535).to_bytes(2) + b"x" * 65_533
    async with box() as it:
        it.stage.still = mend(SHADES[0][:2] + comment * comments + SHADES[0][2:]).data
        response = await it.http.get("/cameras/camera1/snapshot.jpg", headers=it.bearer())
        assert response.content == it.stage.still
        assert int(response.headers["content-length"]) == len(it.stage.still) > comments * 65_000


async def test_an_age_that_is_allowed_costs_no_new_picture() -> None:
    async with box() as it:
        await it.http.get(PATH, headers=it.bearer())
        it.stage.is_playing = False
        answers = [
            await it.http.get(PATH, params={"max_age_ms": 60_000}, headers=it.bearer()) for _ in range(2)
        ]
        assert answers[0].content == answers[1].content
        assert [each.headers["x-tier-name"] for each in answers] == ["frames"] * 2
        ages_ms = [int(each.headers["x-age-ms"]) for each in answers]
        assert ages_ms[0] <= ages_ms[1]


async def test_head_has_the_headers_and_no_body() -> None:
    async with box() as it:
        response = await it.http.head(PATH, headers=it.bearer())
        assert (response.status_code, response.content) == (200, b"")
        assert int(response.headers["content-length"]) == len(SHADES[0])
        assert response.headers["x-tier"] == "0"


@pytest.mark.parametrize("view", ["snapshot.jpg", "live.mjpeg"])
@pytest.mark.parametrize(
    ("query", "param", "rule"),
    [
        ("?width=none", "width", None),
        ("?width=-1", "width", None),
        ("?width=0", "width", None),
        ("?width=100000", "width", None),
        ("?width=" + "9" * 5000, "width", None),
        ("?width=1.5", "width", None),
        ("?width=64&width=32", "width", "once"),
        ("?height=5", "height", None),
        ("?widht=5", "widht", None),
        ("?widht=12345678", "widht", None),
        ("?t=17960573000x", "t", None),
        ("?1796057300%D9%A0", "1796057300\u0660", None),
        ("?width=", "width", None),
        ("?width=%D9%A3%D9%A2", "width", None),
    ],
)
async def test_a_wrong_parameter_is_named(view: str, query: str, param: str, rule: str | None) -> None:
    async with box() as it:
        response = await it.http.get(f"/cameras/camera0/{view}{query}", headers=it.bearer())
        body = response.json()
        assert (response.status_code, body["reason"], body["param"]) == (400, "invalid_params", param)
        assert rule is None or body["rule"] == rule
        assert body["details"]
        assert body["suggestion"] == "Correct this parameter of the address, or leave it out."


@pytest.mark.parametrize("view", ["snapshot.jpg", "live.mjpeg"])
@pytest.mark.parametrize(
    "added",
    ["1796057300123", "_=1796057300123", "t=1796057300", "rnd=0.8472918364", "t=1796057300&t=1796057301"],
)
async def test_numbers_that_pages_add_against_caches_are_ignored(view: str, added: str) -> None:
    """OctoPrint adds `&1796057300123`, jQuery `&_=1796057300123`, and others as they like."""
    async with box() as it, it.agent.client("operator") as operator:
        link = (await operator.call("create_view_link", device="camera0"))["url"].replace("live.mjpeg", view)
        assert (await it.http.head(f"{link}&{added}")).status_code == 200
        assert (await it.http.head(f"{link}&width=32&{added}")).status_code == 200


@pytest.mark.parametrize("view", ["snapshot.jpg", "live.mjpeg"])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize(
    "device",
    [
        "camera7",
        "camera00",
        "Camera0",
        "camera",
        "video0",
        "0",
        "camera0%0A",
        "camera%D9%A0",
        "..%2fcamera0",
        "x" * 500,
    ],
)
async def test_other_names_lead_to_no_camera(device: str, view: str, method: str) -> None:
    async with box() as it:
        response = await it.http.request(method, f"/cameras/{device}/{view}", headers=it.bearer())
        assert response.status_code == 404
        if method == "GET" and "%2f" not in device:
            assert response.json()["reason"] == "camera_not_found"
            assert response.headers["cross-origin-resource-policy"] == "same-origin"


@pytest.mark.parametrize("view", ["snapshot.jpg", "live.mjpeg"])
async def test_a_camera_that_is_not_connected(view: str) -> None:
    async with box() as it:
        it.stage.unplug()
        await anyio.wait_all_tasks_blocked()
        for method in ("GET", "HEAD"):
            response = await it.http.request(method, f"/cameras/camera0/{view}", headers=it.bearer())
            assert response.status_code == 503
            assert response.headers["retry-after"] == "5"
        response = await it.http.get(f"/cameras/camera0/{view}", headers=it.bearer())
        assert response.json()["reason"] == "camera_disconnected"


async def test_a_camera_without_a_picture_tells_what_was_tried() -> None:
    async with box() as it:
        it.stage.still = b"no picture"
        response = await it.http.get("/cameras/camera1/snapshot.jpg", headers=it.bearer())
        assert response.status_code == 503
        (tried,) = response.json()["tiers_tried"]
        assert tried["name"] == "stage tier"


def basic(user: str, password: str) -> dict[str, str]:
    return {"authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}


@pytest.mark.parametrize("view", ["snapshot.jpg", "live.mjpeg"])
async def test_credentials(view: str) -> None:
    async with box() as it:
        key, path = it.key(), f"/cameras/camera0/{view}"
        for headers in (
            it.bearer(),
            {"x-api-key": key},
            basic("any", key),
            basic("", key),
            basic("ä:b", key),
        ):
            response = await it.http.head(path, headers=headers)
            # A colon in the user's name belongs to the password.
            assert response.status_code == (401 if headers == basic("ä:b", key) else 200)
        for headers in (
            {},
            {"x-api-key": "wrong"},
            {"authorization": "Bearer wrong"},
            basic("hub", key[:-1] + "_"),
            basic("hub", ""),
            basic("hub", it.agent.token("viewer")),
            {"authorization": "Basic ==="},
            {"authorization": "Basic"},
            {"authorization": "Basic " + base64.b64encode(b"\xff\xfe").decode()},
        ):
            response = await it.http.get(path, headers=headers)
            assert response.status_code == 401, headers
            assert response.json()["details"]


async def test_basic_opens_nothing_else() -> None:
    async with box() as it:
        key = it.key(role="admin")  # type: ignore[arg-type]  # a word of the wire
        for path in ("/metrics", "/files/snapshots/none.jpg"):
            response = await it.http.get(path, headers=basic("hub", key))
            assert (response.status_code, response.headers["www-authenticate"]) == (401, "Bearer")


async def test_only_direct_requests_are_asked_for_a_password() -> None:
    async with box() as it:
        for headers, challenge in (
            ({}, "Basic"),
            ({"sec-fetch-site": "none", "sec-fetch-mode": "navigate"}, "Basic"),
            (basic("hub", "ck_wrong"), "Basic"),
            ({"sec-fetch-site": "same-origin", "sec-fetch-mode": "cors"}, "Bearer"),
            ({"sec-fetch-site": "same-origin", "sec-fetch-mode": "no-cors"}, "Bearer"),
            ({"referer": "http://box.example/"}, "Bearer"),
            ({"origin": "http://box.example"}, "Bearer"),
            ({"authorization": "Bearer expired"}, "Bearer"),
            ({"x-api-key": "wrong"}, "Bearer"),
        ):
            response = await it.http.get(PATH, headers=headers)
            assert response.status_code == 401
            assert response.headers["www-authenticate"].partition(" ")[0] == challenge, headers


async def test_failed_attempts_are_limited_with_all_others() -> None:
    async with box({"auth": {"failures_per_minute": 3}}) as it:
        seen = [(await it.http.get(PATH, headers=basic("hub", f"ck_{n}"))).status_code for n in range(5)]
        assert seen == [401, 401, 401, 429, 429]
        assert (await it.http.get(PATH, headers={"x-api-key": "wrong"})).status_code == 429
        assert (await it.http.get(PATH, headers=basic("hub", it.key()))).status_code == 200


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
@pytest.mark.parametrize("view", ["snapshot.jpg", "live.mjpeg"])
async def test_pages_of_other_origins_are_refused_without_a_view_link(site: str, view: str) -> None:
    async with box() as it:
        key = it.key()
        for headers in ({}, basic("hub", key), basic("hub", "ck_wrong")):
            fetch = {"sec-fetch-site": site, "sec-fetch-mode": "no-cors", "sec-fetch-dest": "image"}
            response = await it.http.get(f"/cameras/camera0/{view}", headers=headers | fetch)
            assert (response.status_code, response.json()["reason"]) == (403, "cross_site")
            assert response.headers["cross-origin-resource-policy"] == "same-origin"


async def test_a_view_link_opens_its_camera_s_views_and_nothing_else() -> None:
    async with box() as it, it.agent.client("admin") as admin:
        made = await admin.call("create_view_link", device="camera0")
        fetch = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors", "sec-fetch-dest": "image"}
        response = await it.http.get(made["snapshot_url"], headers=fetch)
        assert (response.status_code, response.content in SHADES) == (200, True)
        assert response.headers["cross-origin-resource-policy"] == "cross-origin"
        assert "content-security-policy" not in response.headers  # it may be framed
        sized = await it.http.get(made["snapshot_url"] + "&width=32", headers=fetch)
        assert size_of(sized.content) == (32, 24)
        assert (await it.http.head(made["url"], headers=fetch)).status_code == 200
        secret = made["url"].partition("?view=")[2]
        for path in (
            f"/cameras/camera1/snapshot.jpg?view={secret}",
            f"/cameras/camera1/live.mjpeg?view={secret}",
            f"/files/snapshots/none.jpg?view={secret}",
            f"/metrics?view={secret}",
            f"/cameras/camera0/snapshot.jpg?view={secret[:-1]}",
            "/cameras/camera0/snapshot.jpg?view=",
        ):
            refused = await it.http.get(path)
            assert refused.status_code == 401, path
            assert refused.headers.get("cross-origin-resource-policy") != "cross-origin"
        bearer = {"authorization": f"Bearer {secret}"}
        assert (await it.http.get(PATH, headers=bearer)).status_code == 401


async def test_a_link_to_all_cameras_and_its_revocation() -> None:
    async with box() as it, it.agent.client("admin") as admin:
        made = await admin.call("create_view_link")
        assert made["device"] is None
        for device in ("camera0", "camera1"):
            url = made["snapshot_url"].format(device=device)
            assert (await it.http.get(url)).status_code == 200
        listed = await admin.call("list_view_links")
        assert [each["id"] for each in listed["links"]] == [made["id"]]
        assert made["url"].partition("?view=")[2] not in str(listed)
        assert await admin.call("revoke_view_link", id=made["id"]) == {"id": made["id"], "revoked": True}
        assert (await it.http.get(url)).status_code == 401


async def test_a_camera_that_is_too_slow_for_the_deadline() -> None:
    async with box({"snapshots": {"deadline_ms": 20}}) as it:
        path = "/cameras/camera1/snapshot.jpg?max_age_ms=0"
        response = await it.http.get(path, headers=it.bearer())
        assert (response.status_code, response.json()["reason"]) == (504, "timed_out")
