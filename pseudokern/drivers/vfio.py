"""Give a PCI function to a program: vfio-pci.

Follows drivers/vfio/pci/vfio_pci.c and vfio_pci_intrs.c, and vfio_group_find_or_alloc(). The driver
of the kernel lets go, and with it go its interrupts. Those of the program are made when it asks for
them, and signal it; vfio-msix[0](0000:00:02.0) is one.

A program's device writes wherever it wants. So there has to be an IOMMU that translates, unless
vfio.enable_unsafe_noiommu_mode=1 says that nobody minds; and one that remaps interrupts, unless
vfio_iommu_type1.allow_unsafe_interrupts=1.

Not modelled: groups of functions, and that unbinding waits while a program has the function open:
that is EBUSY.
"""

import errno

from pseudokern.drivers.device import IrqReturn, PciDevice
from pseudokern.kernel.printk import Level

DRIVER = "vfio-pci"


class VfioPci:
    """One function that vfio-pci has, or may have. user: the program that has it open."""

    def __init__(self, device: PciDevice) -> None:
        self.user = ""
        self._device = device
        self._pc = device.pc

    @property
    def is_bound(self) -> bool:
        return self._device.function.driver == DRIVER

    def probe(self) -> None:
        """EINVAL: there is no IOMMU, and nobody has said that it is not needed."""
        log, label = self._pc.kernel.log, f"{DRIVER} {self._device.function.bdf}"
        dmar, allowed = self._pc.dmar, self._pc.vfio_allows
        if dmar is None or not dmar.setup.translates:
            if "noiommu" not in allowed:
                text = f"{label}: probe with driver {DRIVER} failed with error -{errno.EINVAL}"
                log.printk(Level.ERR, text)
                hint = 'say iommu = "intel", or boot with vfio.enable_unsafe_noiommu_mode=1'
                why = f"{self._device.name}: {DRIVER} needs an IOMMU that translates; {hint}"
                raise OSError(errno.EINVAL, why)
            text = "Adding kernel taint for vfio-noiommu group on device"
            log.printk(Level.WARNING, f"{label}: {text}")
            self._pc.kernel.taint.add("U")
        self._device.function.driver = DRIVER

    def remove(self) -> None:
        """EBUSY: a program has it open."""
        if self.user:
            why = f"the program {self.user} has it open; write off to applications/{self.user}"
            raise OSError(errno.EBUSY, f"{self._device.name}: {why}")
        self._device.function.driver = ""

    def open(self, user: str, interrupts: int) -> None:
        """A program takes the function, and wants so many MSI-X interrupts.

        EBUSY   another program has it
        EPERM   interrupts are not remapped, and nobody has said that this is fine
        EINVAL, ENOSPC  those of alloc_irq_vectors()
        """
        device, pc = self._device, self._pc
        if self.user:
            raise OSError(errno.EBUSY, f"{device.name}: the program {self.user} has it open")
        is_translated = pc.dmar is not None and pc.dmar.setup.translates
        is_remapped = pc.dmar is not None and pc.dmar.ir is not None
        if is_translated and not is_remapped and "unsafe interrupts" not in pc.vfio_allows:
            hint = "boot with vfio_iommu_type1.allow_unsafe_interrupts=1"
            raise OSError(errno.EPERM, f"{device.name}: its interrupts are not remapped; {hint}")
        pc.pci.enable(device.function)
        if interrupts:
            try:
                self._request(interrupts)
            except OSError:
                pc.pci.disable(device.function)
                raise
        self.user = user

    def close(self) -> None:
        """The program is done with it, or has ended."""
        if self.user:
            self.user = ""
            self._device.free_irqs()
            self._pc.pci.free(self._device.function)
            self._pc.pci.disable(self._device.function)

    def _request(self, interrupts: int) -> None:
        """VFIO_DEVICE_SET_IRQS."""
        function = self._device.function
        for number, desc in enumerate(self._pc.pci.alloc_msix(function, interrupts)):
            name = f"vfio-msix[{number}]({function.bdf})"
            self._device.request_irq(desc.irq, _signal, name=name)


def _signal() -> IrqReturn:
    """vfio_msihandler(): who waits for the eventfd is told."""
    return IrqReturn.HANDLED
