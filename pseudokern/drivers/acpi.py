"""Be the power management of the chipset: the SCI, interrupt 9, level and shared.

Follows drivers/acpi/osl.c: acpi_os_install_interrupt_handler().
"""

from typing import ClassVar

from pseudokern.drivers.device import Device, Irqf, IrqReturn
from pseudokern.drivers.keys import Gsi, Key
from pseudokern.irq.desc import Irq


class Acpi(Device):
    """ACPI events; nothing presses the power button here."""

    KEYS: ClassVar = {
        "gsi": Key(Gsi(minimum=1, trigger="level", shared=True), default=9, doc="the SCI")
    }

    def probe(self) -> None:
        irq = Irq(self.options["gsi"])
        self.request_irq(irq, lambda: IrqReturn.NONE, name="acpi", flags=Irqf.SHARED)
