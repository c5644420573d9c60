"""By which names the app answers, and who a request comes from."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from lesion_demo.errors import LesionDemoError

SPACE_PROXIES = ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7")
"""Hugging Face's proxies reach a Space from private addresses."""
SPACE_PAGES = ("https://huggingface.co", "https://*.huggingface.co")
"""They show a Space in a frame."""
USER, PASSWORD = "LESION_USER", "LESION_PASSWORD"
"""Variables of the environment: with both set, the page asks for them."""
SUBNET = 64
"""Bits of an IPv6 address that one client cannot choose; the others it can, anew for every request."""


@dataclass(frozen=True)
class Access:
    """Names and proxies that are believed, and sites that may show the page.

    Attributes:
        names: beside loopback, in lower case.
        any_address: also every IP address; whoever misuses another site's name for ours (DNS rebinding) has none.
        proxies: what these say of who asked, and by which name, is believed.
        login: name and password that the page asks for; None where it asks for none.
        embedders: sites that may show the page in a frame, beside itself.
    """

    names: frozenset[str] = frozenset()
    any_address: bool = False
    proxies: tuple[IPv4Network | IPv6Network, ...] = ()
    login: tuple[str, str] | None = field(default=None, repr=False)
    embedders: tuple[str, ...] = ()

    @classmethod
    def create(
        cls, host: str, allowed: Iterable[str], proxies: Iterable[str], environment: Mapping[str, str]
    ) -> Access:
        """That of an app on `host`, by the options `--allow-host` and `--trusted-proxy`.

        An app that listens on all of the machine's addresses answers by each of them, and by the machine's name.

        Args:
            environment: says whether this is a Space, and what the login is.

        Raises:
            LesionDemoError: a name or an address is none, or half of a login is missing.
        """
        names, believed, on_space = {_name(one) for one in (host, *allowed)}, [*proxies], "SPACE_ID" in environment
        address = _address(without_port(host))
        anywhere = address is not None and address.is_unspecified
        if anywhere:
            machine = socket.gethostname().lower()
            names |= {machine, f"{machine}.local"}
        if on_space:
            names.add(environment.get("SPACE_HOST", "").lower())
            believed += SPACE_PROXIES
        return cls(
            names=frozenset(names - {""}),
            any_address=anywhere,
            proxies=tuple(map(_network, believed)),
            login=_login(environment),
            embedders=SPACE_PAGES if on_space else (),
        )

    def answers_to(self, host: str) -> bool:
        """May a request be addressed to `host`, a name or an address with or without a port?"""
        name = without_port(host)
        address = _address(name)
        if address is None:
            return name == "localhost" or name in self.names
        return address.is_loopback or self.any_address or str(address) in self.names

    def trusts(self, peer: str) -> bool:
        """Is `peer` one of the proxies?"""
        address = _address(peer)
        return address is not None and any(address in network for network in self.proxies)

    def client(self, peer: str, forwarded: Sequence[str]) -> str:
        """Who asked: `peer`, or whom it passes on if it is a proxy, by what the proxies add to X-Forwarded-For.

        Of an IPv6 address, the network.
        """
        way = [*map(without_port, forwarded), peer]
        client = next((one for one in reversed(way) if not self.trusts(one)), way[0])
        address = _address(client)
        if isinstance(address, IPv6Address):
            return str(ip_network((address, SUBNET), strict=False))
        return client if address is None else str(address)


LOCAL = Access()
"""For whoever sits at this machine."""


def without_port(host: str) -> str:
    """`host` in lower case, without brackets, the port, or the dot that may end a full name."""
    host = host.strip().lower()
    if host.startswith("[") and "]" in host:
        return host[1:].partition("]")[0]
    return host.partition(":")[0].rstrip(".") if host.count(":") == 1 else host.rstrip(".")


def _address(text: str) -> IPv4Address | IPv6Address | None:
    try:
        address = ip_address(text)
    except ValueError:
        return None
    return (address.ipv4_mapped or address) if isinstance(address, IPv6Address) else address


def _login(environment: Mapping[str, str]) -> tuple[str, str] | None:
    user, password = environment.get(USER, ""), environment.get(PASSWORD, "")
    if bool(user) != bool(password):
        raise LesionDemoError(f"A login needs both {USER} and {PASSWORD}: set both, or neither.")
    return (user, password) if user else None


def _name(text: str) -> str:
    name = without_port(text)
    if not re.fullmatch(r"[\w.:-]+|\[[\da-f:.]+\](:\d+)?", text.strip().lower(), re.ASCII):
        raise LesionDemoError(f"“{text}” is not a host name: give one such as demo.clinic.example.")
    return str(_address(name) or name)


def _network(text: str) -> IPv4Network | IPv6Network:
    try:
        return ip_network(text, strict=False)
    except ValueError as error:
        raise LesionDemoError(f"“{text}” is not an address: give a proxy as 10.0.0.5 or 10.0.0.0/24.") from error
