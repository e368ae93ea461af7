"""Serve the numbers below /proc/sys/net/core that bound the NET_RX softirq.

Follows net/core/sysctl_net_core.c.
"""

from pseudokern.fs.sysctl_kernel import parse_int
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


def _look_again(machine: Machine) -> None:
    """The short way of an interrupt is only for budgets that one poll does not use up."""
    for desc in machine.irqs:
        desc.changed()
