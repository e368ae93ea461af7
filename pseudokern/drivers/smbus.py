"""Be the SMBus controller of an Intel chipset: quiet, on the INTx line of the south bridge.

Follows drivers/i2c/busses/i2c-i801.c.
"""

from typing import ClassVar

from pseudokern.drivers.intx import IntxDevice


class Smbus(IntxDevice):
    """An i801; nothing talks over it here."""

    IDENTITY: ClassVar = (0x8086, 0x2930, 0x0C0500)
    DRIVER: ClassVar = "i801_smbus"

    def probe(self) -> None:
        self.request_intx(self.enable(), "i801_smbus")
