"""A thermometer on pin 10, which is read by a thread: I2C is too slow for a handler."""

from typing import ClassVar

from pseudokern.drivers.device import Device
from pseudokern.drivers.keys import Key, Rate
from pseudokern.irq.desc import Irq
from pseudokern.module import Irqf, IrqReturn, Module

PIN = Irq(10)
READ_MS = 1  # a few bytes over I2C at 100 kHz


class _Chip(Device):
    """The hardware: it pulls its pin when a sample is ready."""

    KEYS: ClassVar = {"rate": Key(Rate(), default="10 Hz", doc="samples a second")}

    def probe(self) -> None:
        self.millidegrees = 40_000
        self.random = self.kernel.chance(self.name).random
        self.traffic(self.options["rate"], [self.sample])

    def sample(self, now_ns: int) -> None:
        self.millidegrees += self.random.randint(-50, 50)
        self.pulse(PIN)


class Thermometer(Module):
    rate: str = "10 Hz"

    def init(self) -> None:
        self.reads = 0
        self.request_threaded_irq(PIN, self.ready, self.read, name="thermo", flags=Irqf.ONESHOT)
        self.chip = self.register_device(_Chip, "thermo0", rate=self.rate)

    def exit(self) -> None:
        self.unregister_device(self.chip)
        self.free_irq(PIN)

    def ready(self) -> IrqReturn:  # interrupt context
        return IrqReturn.WAKE_THREAD

    async def read(self) -> IrqReturn:  # process context: irq/10-thermo
        await self.msleep(READ_MS)
        self.reads += 1
        if self.reads % 10 == 0:
            self.pr_info(f"{self.chip.millidegrees / 1000:.1f} degrees after {self.reads} samples")
        return IrqReturn.HANDLED
