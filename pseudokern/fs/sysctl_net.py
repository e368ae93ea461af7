"""Serve the numbers below /proc/sys/net/core that bound the NET_RX softirq, and busy polling.

Follows net/core/sysctl_net_core.c.
"""

from pseudokern.drivers.nic_napi import tuned
from pseudokern.fs.sysctl_kernel import parse_int
from pseudokern.kernel.napi import NAPI_WEIGHT
from pseudokern.kernel.napi_tuned import TunedNetRx
from pseudokern.kernel.rps import MAX_BACKLOG
from pseudokern.machine.machine import Machine

INT_MAX = 2**31 - 1


def show_netdev_budget(machine: Machine) -> bytes:
    return b"%d\n" % machine.kernel.net_rx.budget


def store_netdev_budget(machine: Machine, data: bytes) -> None:
    """EINVAL: that is no number."""
    machine.kernel.net_rx.budget = parse_int(data, "netdev_budget")
    _look_again(machine)


def show_netdev_budget_usecs(machine: Machine) -> bytes:
    return b"%d\n" % machine.kernel.net_rx.budget_usecs


def store_netdev_budget_usecs(machine: Machine, data: bytes) -> None:
    """EINVAL: that is no number, or a negative one."""
    number = parse_int(data, "netdev_budget_usecs", 0, INT_MAX)
    machine.kernel.net_rx.budget_usecs = number
    _look_again(machine)


def show_busy_read(machine: Machine) -> bytes:
    return b"%d\n" % machine.kernel.net_rx.busy_read_us


def store_busy_read(machine: Machine, data: bytes) -> None:
    """Microseconds of SO_BUSY_POLL of sockets that are made from now on. EINVAL: no number, or a
    negative one."""
    machine.kernel.net_rx.busy_read_us = parse_int(data, "busy_read", 0, INT_MAX)


def show_busy_poll(machine: Machine) -> bytes:
    return b"%d\n" % machine.kernel.net_rx.busy_poll_us


def store_busy_poll(machine: Machine, data: bytes) -> None:
    """Microseconds in poll() and select(). EINVAL: no number, or a negative one."""
    machine.kernel.net_rx.busy_poll_us = parse_int(data, "busy_poll", 0, INT_MAX)


def show_netdev_max_backlog(machine: Machine) -> bytes:
    net_rx = machine.kernel.net_rx
    if isinstance(net_rx, TunedNetRx):
        return b"%d\n" % net_rx.steering.max_backlog
    return b"%d\n" % MAX_BACKLOG


def store_netdev_max_backlog(machine: Machine, data: bytes) -> None:
    """EINVAL: that is no number."""
    steering = tuned(machine.pc).steering
    steering.max_backlog = parse_int(data, "netdev_max_backlog")
    _look_again(machine)


def show_dev_weight(machine: Machine) -> bytes:
    net_rx = machine.kernel.net_rx
    return b"%d\n" % (net_rx.steering.weight if isinstance(net_rx, TunedNetRx) else NAPI_WEIGHT)


def store_dev_weight(machine: Machine, data: bytes) -> None:
    """How many packets of a backlog are taken at once. EINVAL: that is no number, or none."""
    tuned(machine.pc).steering.weight = parse_int(data, "dev_weight", 1, INT_MAX)
    _look_again(machine)


def _look_again(machine: Machine) -> None:
    """The short way of an interrupt is only for budgets that one poll does not use up."""
    for desc in machine.irqs:
        desc.changed()
