"""Serve the XDP programs of cards: sys/kernel/debug/pseudokern/xdp/NAME.

What is read is the program and what it has decided so far. What is written is a program, or "off":

    ./drop.py:drop_small           from the machine file's directory, native if the driver can
    /home/me/drop.py:drop_small generic

Only the user who mounted and root get as far as here, whatever the mode was changed to.
"""

import errno
import shlex
from typing import get_args

from pseudokern.drivers.nic import Nic
from pseudokern.drivers.nic_xdp import Mode
from pseudokern.drivers.xdp_program import load_program
from pseudokern.fs.open_file import OpenFile, Opening
from pseudokern.kernel.printk import Level
from pseudokern.machine.machine import Machine


def card_names(machine: Machine) -> list[str]:
    """The cards whose driver is there."""
    return [nic.name for nic in _cards(machine)]


def find_card(machine: Machine, name: str) -> Nic | None:
    return next((nic for nic in _cards(machine) if nic.name == name), None)


class XdpProgramFile(OpenFile):
    """The open file of one card. EPERM: opened by somebody else than root."""

    def __init__(self, machine: Machine, opening: Opening, nic: Nic) -> None:
        if not opening.by_root:
            said = "programs are attached by the user who mounted, and by root"
            raise OSError(errno.EPERM, said)
        self._machine = machine
        self._nic = nic

    def read(self, size: int, offset: int) -> bytes:
        self._machine.pc.fold_counts()
        return str(self._nic.xdp).encode("utf-8", "surrogateescape")[offset : offset + size]

    def write(self, data: bytes, offset: int) -> int:
        """The errno of load_program() and NicXdp.attach(); the kernel log says why.

        ENODEV  its driver has let go of the card
        """
        nic, text = self._nic, data.decode("utf-8", "surrogateescape").strip()
        if not nic.is_bound:
            raise OSError(errno.ENODEV, f"{nic.name}: its driver has let go of it")
        try:
            self._command(text)
        except OSError as error:
            said = f"{nic.netdev_name}: XDP {text!r}: {error.strerror}"
            self._machine.kernel.log.printk(Level.ERR, said)
            raise
        return len(data)

    def _command(self, text: str) -> None:
        try:
            words = shlex.split(text)
        except ValueError as error:
            raise OSError(errno.EINVAL, str(error)) from None
        if words == ["off"]:
            self._nic.xdp.detach()
            return
        modes = [mode for mode in get_args(Mode) if words[1:] == [mode]]
        if not words or len(words) - 1 != len(modes):
            raise OSError(errno.EINVAL, "write FILE.py:FUNCTION, with native or generic, or off")
        program = load_program(words[0], self._machine.description.base_dir)
        self._nic.xdp.attach(program, *modes)


def _cards(machine: Machine) -> list[Nic]:
    return [each for each in machine.devices if isinstance(each, Nic) and each.is_bound]
