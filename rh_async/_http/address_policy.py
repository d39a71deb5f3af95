"""Tells public addresses from those that lead inside: this machine, its network, its cloud's metadata. Pure."""

from __future__ import annotations

import socket
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address

Address = IPv4Address | IPv6Address

_TRANSLATED = IPv6Network("64:ff9b::/96")
"""IPv4 behind a NAT64 gateway: the last 32 bits are the address."""
_METADATA = frozenset(map(ip_address, ("168.63.129.16", "100.100.100.200", "192.0.0.192", "fd00:ec2::254")))
"""Where clouds tell a machine's own secrets, beside the link-local addresses; the first lies in a public range."""


def is_public(address: str) -> bool:
    """Whether an address, as a resolver gives it, may be asked for a link that a server named."""
    try:
        meant = _meant(ip_address(address.partition("%")[0]))
    except ValueError:
        return False
    reserved = meant.is_multicast or meant.is_reserved or getattr(meant, "is_site_local", False)
    return meant.is_global and not reserved and meant not in _METADATA


def is_metadata(address: str) -> bool:
    """Whether an address is link-local, as that of a cloud's metadata is, or another of those."""
    try:
        meant = _meant(ip_address(address.partition("%")[0]))
    except ValueError:
        return True
    return meant.is_link_local or meant in _METADATA


def literal(host: str) -> str | None:
    """The address that a host is written as, in any form a resolver takes (``0x7f.1``, ``2130706433``); else None."""
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


def _meant(address: Address) -> Address:
    """The IPv4 address inside an IPv6 one, where there is one."""
    if isinstance(address, IPv4Address):
        return address
    if address in _TRANSLATED:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or (address.teredo[1] if address.teredo else address)
