"""Hosts that a scan may try."""

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import pytest

from external_discovery.address import IpAddress
from external_discovery.discovery.area import SearchArea
from external_discovery.policy import AddressPolicy


def area(*networks: str, own: str = "", forbidden: str = "") -> SearchArea:
    def is_own(host: IpAddress) -> bool:
        return str(host) == own

    policy = AddressPolicy(forbidden=(ip_network(forbidden),) if forbidden else (), is_own=is_own)
    return SearchArea(tuple(map(ip_network, networks)), policy)


def test_network_and_broadcast_address_are_no_hosts() -> None:
    hosts = area("192.0.2.0/24").plan().hosts
    assert hosts == tuple(IPv4Address(f"192.0.2.{number}") for number in range(1, 255))


@pytest.mark.parametrize(
    ("network", "count"), [("192.0.2.4/31", 2), ("192.0.2.4/32", 1), ("10.0.0.0/20", 4094)]
)
def test_small_and_largest_networks(network: str, count: int) -> None:
    plan = area(network).plan()
    assert (len(plan.hosts), plan.refusals) == (count, ())


def test_an_ipv6_network_is_tried_only_if_it_is_small() -> None:
    assert area("2001:db8::7/128").plan().hosts == (IPv6Address("2001:db8::7"),)
    assert len(area("2001:db8::/120").plan().hosts) == 255  # without the anycast address of routers


@pytest.mark.parametrize("network", ["2001:db8::/64", "10.0.0.0/19", "0.0.0.0/0", "::/0"])
def test_a_large_network_is_not_tried_and_the_reason_is_told(network: str) -> None:
    plan = area(network, "192.0.2.1/32").plan()
    assert plan.hosts == (IPv4Address("192.0.2.1"),)
    assert len(plan.refusals) == 1
    assert plan.refusals[0].startswith(network)
    assert "ONVIF" in plan.refusals[0]


def test_hosts_that_the_policy_refuses_are_counted_and_this_hosts_own_address_is_not() -> None:
    plan = area("192.0.2.0/29", own="192.0.2.1", forbidden="192.0.2.4/31").plan()
    assert [str(host) for host in plan.hosts] == ["192.0.2.2", "192.0.2.3", "192.0.2.6"]
    assert len(plan.refusals) == 1
    assert "192.0.2.0/29: 2 addresses" in plan.refusals[0]


def test_overlapping_networks_give_each_host_once() -> None:
    assert len(area("192.0.2.0/30", "192.0.2.0/29").plan().hosts) == 6


@pytest.mark.parametrize(
    ("host", "allowed"),
    [
        ("192.0.2.9", True),
        ("192.0.3.9", False),
        ("2001:db8::9", True),
        ("fe80::1", False),
        ("::ffff:192.0.2.9", False),
        ("192.0.2.1", False),
    ],
)
def test_answers_count_only_from_the_networks(host: str, allowed: bool) -> None:
    assert area("192.0.2.0/24", "2001:db8::/64", own="192.0.2.1").allows(ip_address(host)) is allowed
