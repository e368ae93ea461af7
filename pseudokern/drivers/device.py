"""Be a device with its driver: what every one of them has in common.

A driver declares the KEYS that a machine file may set, and what it does when it is probed:

    class Doorbell(Device):
        KEYS = {"gsi": Key(Gsi(), default=10), "rate": Key(Rate(), default="1 Hz")}

        def probe(self) -> None:
            self.request_irq(self.irq_of_pin(self.options["gsi"]), self.rung, name=self.name)
            self.traffic(self.options["rate"], [self.press])

        def press(self, now_ns: int) -> None:
            self.pulse(self.options["gsi"])

        def rung(self) -> IrqReturn:
            return IrqReturn.HANDLED
"""

import errno
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

from pseudokern.drivers.irq_calls import IrqCalls
from pseudokern.drivers.keys import Key
from pseudokern.drivers.pci_keys import PCI_KEYS
from pseudokern.drivers.traffic import PoissonTraffic, Target
from pseudokern.hw.pci import Bdf, PciFunction
from pseudokern.irq.desc import Irq, IrqDesc
from pseudokern.irq.flags import Irqf, IrqReturn
from pseudokern.kernel.printk import Level
from pseudokern.x86.pc import Pc

if TYPE_CHECKING:
    from pseudokern.drivers.vfio import VfioPci

__all__ = ["Device", "IrqReturn", "Irqf", "PciDevice"]


class Device(IrqCalls):
    """A device of a machine. Its methods run in interrupt context, or at boot."""

    KEYS: ClassVar[Mapping[str, Key]] = {}
    BEFORE_PROC: ClassVar[bool] = False  # probed before /proc/irq is made, as the timer is

    def __init__(self, pc: Pc, name: str, options: Mapping[str, Any]) -> None:
        super().__init__(pc)
        self.kernel = pc.kernel
        self.name = name
        self.options = options
        self._streams: list[PoissonTraffic] = []
        self._streams_used = 0

    @property
    def driver_name(self) -> str:
        """What the kernel calls the driver."""
        return type(self).__name__.lower()

    def plug(self) -> None:
        """Appear on the bus, before any driver is probed."""

    def unplug(self) -> None:
        """Disappear from the bus, after remove()."""

    def probe(self) -> None:
        """Find the device, request its interrupts, start its traffic."""

    def open(self) -> None:
        """Be taken into use by programs, after everything was probed: `ip link set up`."""

    def remove(self) -> None:
        """Undo probe() and open(); a driver that overrides this calls it last."""
        self.release()

    def attach(self) -> None:
        """probe(); if that fails, say so in the log, and take back what the device got.

        OSError  as probe() raised it
        """
        try:
            self.probe()
        except OSError as error:
            text = f"probe with driver {self.driver_name} failed with error {-(error.errno or 0)}"
            self.kernel.log.printk(Level.ERR, f"{self.label}: {text}")
            self.release()
            raise

    @classmethod
    def load_keys(cls) -> Mapping[str, Key]:
        """What a [[load]] table may say of such a device; nothing if it cannot be loaded."""
        return {}

    def set_load(self, _options: Mapping[str, Any] | None) -> None:
        """Have so much to do from now on, or nothing with None. EINVAL: that makes no sense."""
        raise OSError(errno.EOPNOTSUPP, f"{self.name} takes no load")

    def show_load(self) -> str:
        """What it has to do, as a line that set_load() would understand."""
        return "off\n"

    def show_results(self) -> str:
        """What became of its load so far."""
        return ""

    @property
    def label(self) -> str:
        """What the kernel log calls the device; dev_printk()."""
        return self.name

    def release(self) -> None:
        """No traffic, no handlers: what devres does when a driver lets go of a device."""
        self.stop_traffic()
        self.free_irqs()

    def pulse(self, irq: Irq) -> None:
        """Raise an ISA interrupt: one edge on its line."""
        self.pc.gsis.pulse(irq)

    def traffic(self, rate_hz: float, targets: Sequence[Target]) -> PoissonTraffic:
        """Call each of targets rate_hz times a second, at random times, from now on."""
        self._streams_used += 1
        if self._streams_used > len(self._streams):
            chance = self.kernel.chance(f"{self.name}/{self._streams_used}")
            self._streams.append(PoissonTraffic(self.kernel.timeline, chance))
        stream = self._streams[self._streams_used - 1]
        stream.set(rate_hz, targets)
        return stream

    def stop_traffic(self) -> None:
        """Call nobody any more. The streams are used again by the next traffic()."""
        for stream in self._streams:
            stream.set(0, [])
        self._streams_used = 0


class PciDevice(Device):
    """A device with one PCI function."""

    KEYS: ClassVar[Mapping[str, Key]] = PCI_KEYS
    IDENTITY: ClassVar[tuple[int, int, int]] = (0x1234, 0x11E8, 0x00FF00)
    DRIVER: ClassVar[str] = ""  # as /sys/bus/pci/drivers names it

    function: PciFunction

    def plug(self) -> None:
        vendor, device, pci_class = self.identity
        options = self.options
        self.function = PciFunction(
            bdf=Bdf(options["bdf"]),
            vendor=vendor if options["vendor"] is None else options["vendor"],
            device=device if options["device"] is None else options["device"],
            pci_class=pci_class if options["class"] is None else options["class"],
            node=options["node"],
            gsi=options["gsi"] or 0,
            subsystem=(options.get("subsystem_vendor"), options.get("subsystem_device")),
            revision=options.get("revision", 0),
            first_irq=options["irq"] or 0,
        )
        self.pc.pci.add(self.function)

    def unplug(self) -> None:
        self.pc.pci.remove(self.function)

    def enable(self) -> IrqDesc | None:
        """Take the function into use; the interrupt of its INTx line, if it has one."""
        self.function.driver = self.driver_name
        return self.pc.pci.enable(self.function)

    def release(self) -> None:
        super().release()
        self.pc.pci.free(self.function)
        self.pc.pci.disable(self.function)
        self.function.driver = ""

    @property
    def is_bound(self) -> bool:
        """Whether its own driver has it; it may be that none has it, or vfio-pci."""
        return bool(self.function.driver) and self.function.driver == self.driver_name

    @property
    def label(self) -> str:
        return f"{self.driver_name} {self.function.bdf}"

    @cached_property
    def vfio(self) -> "VfioPci":
        """The driver that gives it to programs; few have it."""
        from pseudokern.drivers.vfio import VfioPci

        return VfioPci(self)

    @property
    def identity(self) -> tuple[int, int, int]:
        """Vendor, device and class, unless the machine file says otherwise."""
        return self.IDENTITY

    @property
    def driver_name(self) -> str:
        return self.DRIVER
