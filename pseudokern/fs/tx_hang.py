"""Let a card stop sending from one of its rings, as a firmware bug would: faults/tx_hang.

echo "eth0 2" > tx_hang        nothing leaves ring 2 any more, until its driver resets the card
echo "eth0 2 off" > tx_hang    it goes on
cat tx_hang                    the rings that hang
"""

import errno
from collections.abc import Iterator

from pseudokern.drivers.nic import Nic
from pseudokern.machine.machine import Machine


def show_tx_hang(machine: Machine) -> bytes:
    lines = [
        f"{nic.name} {number}\n"
        for nic in _cards(machine)
        if "tx" in nic.__dict__
        for number, ring in enumerate(nic.tx.rings)
        if ring.hung_ns is not None
    ]
    return "".join(lines).encode()


def store_tx_hang(machine: Machine, data: bytes) -> None:
    """NAME RING [off]. EINVAL: not in this form, or there is no such ring."""
    words = data.decode("latin-1").split()
    usage = "write NAME RING or NAME RING off, like: eth0 2"
    cards = {nic.name: nic for nic in _cards(machine)}
    if len(words) not in (2, 3) or words[2:] not in ([], ["off"]) or not words[1].isdecimal():
        raise OSError(errno.EINVAL, f"tx_hang {data!r}: {usage}")
    nic, number = cards.get(words[0]), int(words[1])
    if nic is None:
        raise OSError(errno.EINVAL, f"tx_hang {data!r}: the cards are {', '.join(cards)}")
    if number >= nic.channels:
        raise OSError(errno.EINVAL, f"tx_hang {data!r}: {nic.name} has rings 0-{nic.channels - 1}")
    if words[2:]:
        nic.tx.go_on(number)
    else:
        nic.tx.ring(number).hang(machine.timeline.now_ns)


def _cards(machine: Machine) -> Iterator[Nic]:
    return (device for device in machine.devices if isinstance(device, Nic))
