"""Which addresses of the internet a crawler may connect to: public unicast, nothing else.

`ipaddress.is_global` alone is not the answer: it is true for multicast, for NAT64 (64:ff9b::/96)
and for 6to4 addresses that wrap a private one.
"""

from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address

UNICAST_V6 = IPv6Network(
    "2000::/3"
)  # all that IANA has given out; leaves out NAT64 and IPv4-mapped
METADATA = frozenset({IPv4Address("168.63.129.16")})  # Azure's host agent, in a public range


def is_public(address: str) -> bool:
    """Returns whether a numeric address (as `getaddrinfo` gives it) is public unicast."""
    ip = ip_address(address.partition("%")[0])
    if isinstance(ip, IPv4Address):
        plain = not (ip.is_multicast or ip.is_reserved or ip.is_unspecified or ip.is_loopback)
        return ip.is_global and plain and ip not in METADATA
    return (
        ip in UNICAST_V6 and _wrapped_is_public(ip) and (ip.is_global or ip.sixtofour is not None)
    )


def _wrapped_is_public(ip: IPv6Address) -> bool:
    """Returns whether the IPv4 addresses inside a 6to4 or Teredo address, if any, are public."""
    wrapped = [ip.sixtofour] if ip.sixtofour else list(ip.teredo or ())
    return all(is_public(str(inner)) for inner in wrapped)
