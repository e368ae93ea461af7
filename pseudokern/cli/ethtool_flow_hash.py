"""Show and set what a flow hash is made of, as ethtool does: rx-flow-hash of -n and -N."""

import errno
import os
import re
from collections.abc import Sequence

from pseudokern.cli.ethtool_device import TOO_LONG, Device, EthtoolError, bad_arguments

FILE = "hash_fields"
_NAMES = {"tcp": "TCP", "udp": "UDP", "sctp": "SCTP", "ah": "IPSEC AH/ESP", "esp": "IPSEC AH/ESP"}
_PROTOCOLS = {
    f"{name}{version}": f"{title} over IPV{version} flows"
    for name, title in _NAMES.items()
    for version in "46"
}
_FIELDS = {
    "s": "IP SA",
    "d": "IP DA",
    "f": "L4 bytes 0 & 1 [TCP/UDP src port]",
    "n": "L4 bytes 2 & 3 [TCP/UDP dst port]",
}


def show_flow_hash(device: Device, rest: Sequence[str]) -> str:
    """Of rules, which the other words of -n show, there are none here."""
    protocol = _protocol(device, rest, 2)
    start = "Cannot get RX network flow hashing options:"
    try:
        fields = device.read(FILE).get(protocol)
    except OSError as error:
        raise EthtoolError(f"{start} {os.strerror(error.errno or 0)}") from None
    if fields is None:
        raise EthtoolError(f"{start} {os.strerror(errno.EINVAL)}")
    head = f"{_PROTOCOLS[protocol]} use these fields for computing Hash flow key:\n"
    if fields == "-":
        return f"{head}None\n"
    return head + "".join(f"{_FIELDS[letter]}\n" for letter in fields) + "\n"


def set_flow_hash(device: Device, rest: Sequence[str]) -> str:
    """A refusal does not change the exit status. r: frames of that kind have no hash."""
    protocol = _protocol(device, rest, 3)
    letters = rest[2]
    if not re.fullmatch("[mvtsdfnr]+", letters):
        raise bad_arguments()
    fields = "-" if letters == "r" else "".join(each for each in "mvtsdfnr" if each in letters)
    try:
        device.write(FILE, [protocol, fields])
    except OSError as error:
        text = os.strerror(error.errno or 0)
        said = f"Cannot change RX network flow hashing options: {text}"
        raise EthtoolError(said, 0) from None
    return ""


def _protocol(device: Device, rest: Sequence[str], count: int) -> str:
    if device.is_too_long:
        raise EthtoolError(TOO_LONG)
    if len(rest) != count or rest[0] != "rx-flow-hash" or rest[1] not in _PROTOCOLS:
        raise bad_arguments()
    return rest[1]
