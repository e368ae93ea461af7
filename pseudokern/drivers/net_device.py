"""Be a network interface, which programs set up and down.

Follows net/core/dev.c: __dev_open(), __dev_close(), and dev_change_flags() as far as IFF_UP. The
driver's part is ndo_open() and ndo_stop(): request the interrupts and let frames come; undo that.
"""

from typing import NamedTuple

from pseudokern.drivers.intx import IntxDevice

IFF_UP = 0x1
IFF_BROADCAST = 0x2
IFF_MULTICAST = 0x1000


class Received(NamedTuple):
    """What an interface has received since it was there.

    dropped    frames that found no buffer; overflow names the counter in which they are
    discarded  frames that were in a ring when it was taken down; no driver counts them
    """

    packets: int
    bytes: int
    dropped: int
    discarded: int = 0
    overflow: str = "rx_missed_errors"


class Transmitted(NamedTuple):
    """What an interface has sent. What a qdisc has dropped is not among its drops."""

    packets: int = 0
    bytes: int = 0


class NetDevice(IntxDevice):
    """A network card. Its interface has the name of the device, and is set up at boot."""

    is_up = False
    mtu = 1500

    @property
    def netdev_name(self) -> str:
        """What netdev_printk() calls the interface: its driver, its device and itself."""
        if self.driver_name == "virtio-pci":
            return f"virtio_net {self.name} {self.name}"
        return f"{self.label} {self.name}"

    @property
    def speed_mbps(self) -> int:
        """What the driver says of its link; 0: it does not know. EINVAL: it does not say."""
        return 100

    @property
    def flags(self) -> int:
        """dev_get_flags(), without what follows from carrier and queues."""
        return IFF_BROADCAST | IFF_MULTICAST | (IFF_UP if self.is_up else 0)

    def open(self) -> None:
        """`ip link set NAME up`. The errno of request_irq(), and then it stays down."""
        if self.is_up or not self.is_bound:
            return
        try:
            self.start()
        except OSError:
            self.stop()
            raise
        self.is_up = True

    def close(self) -> None:
        """`ip link set NAME down`."""
        if self.is_up:
            self.stop()
            self.is_up = False

    def change_mtu(self, mtu: int) -> None:
        """ndo_change_mtu(). The errno of a driver that cannot have that."""
        self.mtu = mtu

    def link_down(self) -> None:
        """Say that somebody has set the interface down, if the driver does."""

    def release(self) -> None:
        self.close()
        super().release()

    def received(self) -> Received:
        """ndo_get_stats64(), as far as frames are received. Fold counts before."""
        raise NotImplementedError

    def transmitted(self) -> Transmitted:
        """ndo_get_stats64(), as far as frames are sent."""
        return Transmitted()

    def start(self) -> None:
        """ndo_open(): request what is requested only while the interface is up."""
        raise NotImplementedError

    def stop(self) -> None:
        """ndo_stop(): free that again, and let no frame come."""
        self.stop_traffic()
        self.free_irqs()
