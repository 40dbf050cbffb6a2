"""Which addresses this machine has on the local network, and which of its ports are free."""

from __future__ import annotations

import array
import contextlib
import socket
import struct
import sys

# Bridges of containers and virtual machines: no phone is on them.
NO_PHONE_THERE = ("docker", "br-", "veth", "virbr", "vmnet", "lo")


def main_address() -> str:
    """The IPv4 address other machines most likely reach this one by; 127.0.0.1 without a network."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("198.51.100.1", 9))  # sends nothing: only asks which way it would go
            return str(probe.getsockname()[0])
        except OSError:
            return next(iter(_interfaces()), "127.0.0.1")


def addresses() -> list[str]:
    """All IPv4 addresses phones might use, the likeliest first."""
    return list(dict.fromkeys([main_address(), *_interfaces(), *_by_name()]))


def host_names() -> list[str]:
    """Names this machine answers to on the local network."""
    name = socket.gethostname().split(".")[0].lower()
    good = name and all(letter.isalnum() or letter == "-" for letter in name) and name.isascii()
    return [name, f"{name}.local"] if good and name != "localhost" else []


def _by_name() -> list[str]:
    try:
        found = socket.gethostbyname_ex(socket.gethostname())[2]
    except OSError:
        return []
    return [address for address in found if not address.startswith("127.")]


def _interfaces() -> list[str]:
    if sys.platform != "linux":
        return []
    import fcntl

    found = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        for _index, name in socket.if_nameindex():
            if name.startswith(NO_PHONE_THERE):
                continue
            with contextlib.suppress(OSError):  # an interface without an IPv4 address
                request = array.array("B", struct.pack("256s", name.encode()[:15]))
                fcntl.ioctl(probe.fileno(), 0x8915, request, True)  # SIOCGIFADDR
                found.append(socket.inet_ntoa(bytes(request[20:24])))
    return found


def port_is_free(host: str, port: int) -> bool:
    """True when a server could listen there now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True
