"""Be a PCI function of which only its interrupts are known: a row each, at a rate of its own.

For machines that are described from what they print, where no driver here knows the device. A
network card's interrupt schedules NAPI, a disk's raises BLOCK; any other's handler does nothing.

    [[device]]
    name = "virtio-0000:00:04.0"
    driver = "pseudokern.drivers.recorded"
    bdf = "0000:00:04.0"
    vectors = [
        {irq = 40, index = 0, name = "virtio3-config"},
        {irq = 41, index = 1, name = "virtio3-rx", rate = "0.4 Hz"},
    ]
"""

from typing import Any, ClassVar

from pseudokern.drivers.device import IrqReturn
from pseudokern.drivers.intx import IntxDevice
from pseudokern.drivers.keys import (
    MOST_IRQS,
    Choice,
    CpuList,
    Flag,
    Integer,
    Key,
    ListOf,
    Rate,
    TableOf,
    Text,
)
from pseudokern.drivers.pci_keys import PCI_KEYS
from pseudokern.drivers.rx_queue import RxQueue
from pseudokern.drivers.traffic import Target
from pseudokern.hw.msix import MAX_ENTRIES
from pseudokern.irq.action import Handler
from pseudokern.irq.desc import Irq, IrqDesc
from pseudokern.irq.manage import irq_set_affinity_and_hint
from pseudokern.irq.napi_handler import NapiHandler
from pseudokern.kernel.softirq import Softirq
from pseudokern.x86.msi_chip import message_of

STORAGE, NETWORK = 0x01, 0x02  # the first byte of the class code
BLOCK_BIT = 1 << Softirq.BLOCK


class Recorded(IntxDevice):
    """A function with given vectors. pin: it has enabled its INTx line, whether used or not."""

    KEYS: ClassVar = {
        **PCI_KEYS,
        "linux_driver": Key(Text(), default="", doc="whose driver has it"),
        "messages": Key(Choice("msix", "msi"), default="msix"),
        "vectors": Key(
            ListOf(
                TableOf(
                    irq=Key(Integer(1, MOST_IRQS)),
                    index=Key(Integer(0, MAX_ENTRIES - 1), required=True, doc="say index = NUMBER"),
                    name=Key(Text(), default=""),
                    rate=Key(Rate(), default=0),
                    managed=Key(CpuList()),
                    hint=Key(CpuList()),
                )
            ),
            default=(),
            doc="its rows; one without a name was never requested",
        ),
        "pin": Key(Flag(), default=False, doc="whether it uses its INTx line"),
        "intx": Key(ListOf(Text()), default=(), doc="names of its handlers on that line"),
        "rate": Key(Rate(), default=0, doc="interrupts a second on that line"),
    }

    @property
    def driver_name(self) -> str:
        return str(self.options["linux_driver"])

    def probe(self) -> None:
        options = self.options
        self.function.driver = self.driver_name
        line = self.enable() if options["pin"] or options["intx"] else None
        for name in options["intx"]:
            source = self.fall_back_to_intx(line, name, self._handle)
            if name == options["intx"][0]:
                self.traffic(options["rate"], [source.trigger])
        if options["vectors"]:
            self._request_messages()

    def _request_messages(self) -> None:
        vectors = self.options["vectors"]
        free = self.pc.irqs.free_range(len(vectors), self.function.first_irq)
        places = [
            (Irq(vector["irq"] or free + number), vector["index"], vector["managed"])
            for number, vector in enumerate(vectors)
        ]
        descs = self.pc.pci.alloc_at(self.function, self.options["messages"], places)
        for vector, desc in zip(vectors, descs, strict=True):
            if vector["name"]:
                self._request(vector, desc)

    def _request(self, vector: dict[str, Any], desc: IrqDesc) -> None:
        handler: Handler = self._handle
        event: Target = message_of(desc).trigger_now
        if self.function.pci_class >> 16 == NETWORK:
            queue = RxQueue(message_of(desc))
            handler, event = NapiHandler(self.kernel, queue), queue
        self.request_irq(desc.irq, handler, name=vector["name"])
        if vector["hint"]:
            irq_set_affinity_and_hint(desc, vector["hint"])
        if vector["rate"]:
            self.traffic(vector["rate"], [event])

    def _handle(self) -> IrqReturn:
        if self.function.pci_class >> 16 == STORAGE:
            self.kernel.this.softirq_pending |= BLOCK_BIT
        return IrqReturn.HANDLED
