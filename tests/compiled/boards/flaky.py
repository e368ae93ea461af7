"""A card whose handler asks where it is, and fails now and then."""

from typing import ClassVar

from pseudokern.drivers.device import IrqReturn, PciDevice
from pseudokern.drivers.keys import Key, Rate
from pseudokern.drivers.pci_keys import PCI_KEYS
from pseudokern.kernel.context import irqs_disabled, preempt_count, this_cpu
from pseudokern.kernel.printk import Level
from pseudokern.kernel.warn import dump_stack
from pseudokern.x86.msi_chip import message_of

SAYS, UNHANDLED, FAILS, DUMPS = 100, 7, 150, 120  # one call of the handler in so many


class Flaky(PciDevice):
    KEYS: ClassVar = {
        **PCI_KEYS,
        "rate": Key(Rate(), default="1 kHz", doc="interrupts a second"),
    }
    driver_name = "flaky"

    def probe(self) -> None:
        self.calls = 0
        self.enable()
        (desc,) = self.pc.pci.alloc_msix(self.function, 1)
        self.request_irq(desc.irq, self.ready, name=self.name)
        self.message = message_of(desc)
        self.traffic(self.options["rate"], [self.sample])

    def sample(self, now_ns: int) -> None:
        self.message.trigger(now_ns)

    def ready(self) -> IrqReturn:
        self.calls += 1
        if not self.calls % SAYS:
            kernel = self.kernel
            where = f"{preempt_count(kernel):08x} {irqs_disabled(kernel)} {this_cpu(kernel).cpu}"
            kernel.log.printk(Level.INFO, f"flaky: call {self.calls}: {where}")
        if not self.calls % DUMPS:
            dump_stack(self.kernel)
        if not self.calls % FAILS:
            raise ZeroDivisionError("flaky")
        return IrqReturn.HANDLED if self.calls % UNHANDLED else IrqReturn.NONE
