"""Tells public addresses from internal ones: this machine, its network, its cloud's metadata service. Pure."""

from __future__ import annotations

import socket
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address

Address = IPv4Address | IPv6Address

_TRANSLATED = IPv6Network("64:ff9b::/96")
"""IPv4 behind a NAT64 gateway: the last 32 bits are the address."""
_METADATA = frozenset(map(ip_address, ("168.63.129.16", "100.100.100.200", "192.0.0.192", "fd00:ec2::254")))
"""Where clouds serve a machine its own secrets, beside link-local addresses; the first is in a public range."""


def is_public(address: str) -> bool:
    """Whether an address, as a resolver returns it, may be connected to for a link that a server named."""
    try:
        effective = _effective(ip_address(address.partition("%")[0]))
    except ValueError:
        return False
    reserved = effective.is_multicast or effective.is_reserved or getattr(effective, "is_site_local", False)
    return effective.is_global and not reserved and effective not in _METADATA


def is_metadata(address: str) -> bool:
    """Whether an address may be a cloud's metadata service: link-local, or one of the known others."""
    try:
        effective = _effective(ip_address(address.partition("%")[0]))
    except ValueError:
        return True
    return effective.is_link_local or effective in _METADATA


def literal_address(host: str) -> str | None:
    """Parse a host that is an address, in any form a resolver takes (``0x7f.1``, ``2130706433``); None for a name."""
    try:
        return str(ip_address(host.partition("%")[0]))
    except ValueError:
        pass
    if f".{host.rstrip('.').lower()}".endswith(".localhost"):
        return "127.0.0.1"
    try:
        return socket.inet_ntoa(socket.inet_aton(host.rstrip(".")))
    except (OSError, UnicodeError, ValueError):
        return None


def _effective(address: Address) -> Address:
    """Return the IPv4 address inside an IPv6 one, where there is one: the connection leads there."""
    if isinstance(address, IPv4Address):
        return address
    if address in _TRANSLATED:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or (address.teredo[1] if address.teredo else address)
