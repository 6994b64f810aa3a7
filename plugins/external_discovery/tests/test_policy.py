"""Streams come only from addresses that the policy allows, whatever form they are given in."""

import random
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import anyio
import pytest

from agent_core.plugin import CaptureFailed
from external_discovery.policy import (
    AddressPolicy,
    AddressRefused,
    IpAddress,
    StreamAddress,
    SystemResolver,
    is_own_address,
    resolve_and_pin,
)


def nobody_s(_ip: IpAddress) -> bool:
    return False


def policy(*allowed: str, forbidden: Sequence[str] = (), own: Sequence[str] = ()) -> AddressPolicy:
    return AddressPolicy(
        tuple(ip_network(each) for each in allowed),
        tuple(ip_network(each) for each in forbidden),
        is_own=lambda ip: str(ip) in own,
    )


def verdict(text: str, rules: AddressPolicy) -> str:
    try:
        rules.require(ip_address(text))
    except AddressRefused as refused:
        return refused.reason
    return "allowed"


@pytest.mark.parametrize(
    ("ip", "word"),
    [
        ("127.0.0.1", "loopback"),
        ("127.255.255.254", "loopback"),
        ("::1", "loopback"),
        ("169.254.1.1", "link_local"),
        ("fe80::1", "link_local"),
        ("169.254.169.254", "metadata_address"),
        ("fd00:ec2::254", "metadata_address"),
        ("100.100.100.200", "metadata_address"),
        ("224.0.0.1", "multicast"),
        ("ff02::1", "multicast"),
        ("255.255.255.255", "broadcast"),
        ("0.0.0.0", "unspecified"),  # noqa: S104 - judged, not bound
        ("0.1.2.3", "unspecified"),
        ("::", "unspecified"),
        ("240.0.0.1", "reserved"),
        ("64:ff9b:1::1", "reserved"),
        ("::ffff:127.0.0.1", "loopback"),
        ("::ffff:a9fe:a9fe", "metadata_address"),
        ("::127.0.0.1", "loopback"),
        ("::ffff:0:127.0.0.1", "loopback"),
        ("64:ff9b::7f00:1", "loopback"),
        ("64:ff9b::169.254.169.254", "metadata_address"),
        ("2002:7f00:1::1", "loopback"),
        ("2002:a9fe:a9fe::", "metadata_address"),
        ("2001:0:7f00:1::1", "loopback"),  # Teredo: the server
        ("2001:0:c000:201:0:0:80ff:fffe", "loopback"),  # Teredo: the client, 127.0.0.1 inverted
        ("2001:db8::5efe:7f00:1", "loopback"),  # ISATAP
        ("2001:db8::200:5efe:127.0.0.1", "loopback"),
        ("198.51.100.7", "own_address"),
        ("::ffff:198.51.100.7", "own_address"),
        ("192.0.2.1", "allowed"),
        ("10.0.0.1", "allowed"),
        ("100.64.0.1", "allowed"),
        ("fd12::1", "allowed"),
        ("2001:db8::1", "allowed"),
        ("64:ff9b::192.0.2.1", "allowed"),
    ],
)
def test_classes_of_addresses_without_configuration(ip: str, word: str) -> None:
    assert verdict(ip, policy(own=["198.51.100.7"])) == word


@pytest.mark.parametrize(
    ("networks", "ip", "word"),
    [
        (["192.0.2.0/24"], "192.0.2.9", "allowed"),
        (["192.0.2.0/24"], "192.0.3.9", "network_not_allowed"),
        (["192.0.2.0/24"], "::ffff:192.0.2.9", "allowed"),
        (["192.0.2.0/24"], "64:ff9b::192.0.2.9", "allowed"),
        (["192.0.2.0/24"], "2001:db8::1", "network_not_allowed"),
        (["192.0.2.0/24"], "2001:db8::5efe:c000:209", "network_not_allowed"),  # ISATAP's form of 192.0.2.9
        (["192.0.2.0/24"], "2002:c000:209::1", "network_not_allowed"),  # 6to4's
        (["0.0.0.0/0", "::/0"], "127.0.0.1", "loopback"),
        (["0.0.0.0/0", "::/0"], "::1", "loopback"),
        (["0.0.0.0/0"], "169.254.169.254", "metadata_address"),
        (["0.0.0.0/0"], "198.51.100.7", "own_address"),
        (["127.0.0.0/8"], "127.0.0.2", "allowed"),
        (["127.0.0.1/32"], "127.0.0.1", "allowed"),
        (["127.0.0.1/32"], "127.0.0.2", "network_not_allowed"),
        (["169.254.0.0/16"], "169.254.7.7", "allowed"),
        (["169.254.0.0/16"], "169.254.169.254", "metadata_address"),
        (["169.254.169.254/32"], "169.254.169.254", "allowed"),
        (["198.51.100.0/24"], "198.51.100.7", "own_address"),
        (["198.51.100.7/32"], "198.51.100.7", "allowed"),
        (["239.1.0.0/16"], "239.1.2.3", "allowed"),
        (["239.1.0.0/16"], "224.0.0.1", "network_not_allowed"),
        (["::1/128"], "::1", "allowed"),
    ],
)
def test_a_network_lifts_only_the_prohibition_that_it_lies_within(
    networks: list[str], ip: str, word: str
) -> None:
    refused = verdict(ip, policy(*networks, own=["198.51.100.7"]))
    assert refused == word or (word == "network_not_allowed" and refused in ("loopback", "multicast"))


def test_forbidden_networks_win() -> None:
    rules = policy("192.0.2.0/24", forbidden=["192.0.2.128/25"])
    assert verdict("192.0.2.1", rules) == "allowed"
    assert verdict("192.0.2.200", rules) == "network_forbidden"
    assert verdict("::ffff:192.0.2.200", rules) == "network_forbidden"


def embed(dice: random.Random, ip: IPv4Address) -> IPv6Address:
    value = int(ip)
    wrap = [
        lambda: value | 0xFFFF << 32,
        lambda: value,
        lambda: value | 0xFFFF << 48,
        lambda: value | 0x0064FF9B << 96,
        lambda: 0x2002 << 112 | value << 80 | dice.getrandbits(80),
        lambda: 0x20010000 << 96 | value << 64 | (0x0A000001 ^ 0xFFFFFFFF),
        lambda: 0x20010000 << 96 | 0xC0000201 << 64 | dice.getrandbits(32) << 32 | value ^ 0xFFFFFFFF,
        lambda: 0xFD << 120 | dice.getrandbits(56) << 64 | 0x5EFE << 32 | value,
    ]
    return IPv6Address(dice.choice(wrap)())


def test_no_embedding_reaches_a_forbidden_address() -> None:
    dice = random.Random(4291)
    forbidden = [ip_network(each) for each in ("127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/4", "240.0.0.0/4")]
    rules = policy()
    for _ in range(5_000):
        network = dice.choice(forbidden)
        inner = IPv4Address(int(network.network_address) + dice.randrange(network.num_addresses))
        assert verdict(str(embed(dice, inner)), rules) != "allowed", (inner, embed(dice, inner))


def test_allowed_ordinary_addresses_stay_allowed_in_all_embeddings() -> None:
    dice = random.Random(77)
    for _ in range(2_000):
        inner = IPv4Address(f"10.{dice.randrange(256)}.{dice.randrange(256)}.{dice.randrange(1, 255)}")
        assert verdict(str(embed(dice, inner)), policy("10.0.0.0/8", "::/0")) == "allowed"


def test_the_kernel_tells_own_addresses() -> None:
    assert is_own_address(ip_address("127.0.0.1"))
    assert not is_own_address(ip_address("192.0.2.1"))
    assert not is_own_address(ip_address("2001:db8::1"))


class Names:
    """Resolver that gives the answers of a script, one per question."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self._answers = [*answers]

    async def __call__(self, _name: str) -> Sequence[IpAddress]:
        return [ip_address(each) for each in self._answers.pop(0)]


async def pin(url: str, resolver: Names, rules: AddressPolicy | None = None) -> str:
    address, _ = StreamAddress.parse(url)
    return (await resolve_and_pin(address, rules or policy(), resolver=resolver)).url


async def test_the_address_of_a_name_takes_its_place() -> None:
    assert (
        await pin("rtsp://cam.example:8554/a?b", Names(["192.0.2.1", "192.0.2.2"]))
        == "rtsp://192.0.2.1:8554/a?b"
    )
    assert await pin("rtsp://cam.example/a", Names(["2001:db8::1"])) == "rtsp://[2001:db8::1]/a"
    assert await pin("rtsp://cam.example/a", Names(["::ffff:192.0.2.1"])) == "rtsp://192.0.2.1/a"


async def test_a_name_of_rtsps_stays_for_the_certificate() -> None:
    assert await pin("rtsps://cam.example/a", Names(["192.0.2.1"])) == "rtsps://cam.example/a"
    with pytest.raises(AddressRefused):
        await pin("rtsps://cam.example/a", Names(["127.0.0.1"]))


async def test_one_forbidden_address_of_a_name_refuses_all() -> None:
    with pytest.raises(AddressRefused) as refused:
        await pin("rtsp://cam.example/", Names(["192.0.2.1", "127.0.0.1"]))
    assert refused.value.reason == "loopback"


async def test_a_name_that_resolves_elsewhere_later_is_judged_again() -> None:
    rebinding = Names(["192.0.2.1"], ["192.0.2.2"], ["169.254.169.254"])
    assert "192.0.2.1" in await pin("rtsp://cam.example/", rebinding)
    assert "192.0.2.2" in await pin("rtsp://cam.example/", rebinding)
    with pytest.raises(AddressRefused):
        await pin("rtsp://cam.example/", rebinding)


async def test_a_literal_address_is_never_resolved() -> None:
    assert await pin("rtsp://192.0.2.7/", Names()) == "rtsp://192.0.2.7/"
    with pytest.raises(AddressRefused):
        await pin("rtsp://[::ffff:127.0.0.1]/", Names())


async def test_a_name_without_an_answer_is_a_fault_of_the_network() -> None:
    address, _ = StreamAddress.parse("rtsp://cam.example/")

    async def silent(_name: str) -> Sequence[IpAddress]:
        await anyio.sleep_forever()
        raise AssertionError

    with pytest.raises(CaptureFailed) as failed:
        await resolve_and_pin(address, policy(), resolver=silent, timeout_s=0.01)
    assert failed.value.reason == "name_not_resolved"


async def test_the_system_s_resolver_gives_addresses() -> None:
    assert any(each.is_loopback for each in await SystemResolver()("localhost"))
    with pytest.raises(CaptureFailed):
        await SystemResolver()("a" * 64)
