"""A card whose device and driver have bugs; it comes with a machine file."""

from typing import ClassVar

from pseudokern.drivers.device import Device, IrqReturn
from pseudokern.drivers.keys import Gsi, Key, Rate


class FaultyCard(Device):
    KEYS: ClassVar = {"gsi": Key(Gsi(), default=10), "rate": Key(Rate(), default="100 Hz")}

    def probe(self) -> None:
        self.request_irq(self.options["gsi"], self.handle, name=self.name)
        self.traffic(self.options["rate"], [self.interrupt])
        self.traffic(self.options["rate"], [self.break_down])
        self.calls = 0

    def interrupt(self, _now_ns: int) -> None:
        self.pulse(self.options["gsi"])

    def break_down(self, now_ns: int) -> None:
        raise ZeroDivisionError(f"a bug in the card, at {now_ns} ns")

    def handle(self) -> IrqReturn:
        self.calls += 1
        if self.calls == 3:
            raise RuntimeError("a bug in the handler")
        return IrqReturn.HANDLED
