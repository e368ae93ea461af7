"""Do what a driver does when a transmit queue of its card hangs: ndo_tx_timeout().

Follows igb, e1000e, ice, mlx5e, mlx4_en, bnxt_en, vmxnet3 and virtio_net. Most reset the card, from
a work item: what is in its rings is lost, and then it works again. mlx5e looks first whether only
an interrupt was lost. virtio_net says so, and no more.

Not modelled: registers in the messages of ice, numbers of objects in those of mlx5e and mlx4_en;
the time that the link takes to come back.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

from pseudokern.drivers.nic_link import say_up_again
from pseudokern.kernel.net_tx import TxQueue
from pseudokern.kernel.printk import Level

if TYPE_CHECKING:
    from pseudokern.drivers.nic import Nic

US_PER_MS = 1000
RECOVERY_S = 20  # after so many seconds ice begins with the mildest reset again
ICE_LEVELS = 3  # what can be reset: the function, the core, everything


class TxTimeout:
    """What the driver of one card knows of its timeouts. count: how many there were."""

    def __init__(self, nic: "Nic") -> None:
        self.count = 0
        self._nic = nic
        self._level = 1
        self._recovered_ns = -(1 << 62)

    def timed_out(self, queue: TxQueue, stuck_ms: int) -> None:
        """From the watchdog's timer."""
        self.count += 1
        number = queue.number
        match self._nic.options["style"]:
            case "ice":
                self._ice(number)
            case "mlx5":
                self._say(Level.ERR, "TX timeout detected")
                self._later(lambda: self._mlx5(number, stuck_ms))
            case "virtio-net":
                place = f"sq: output.{number}, vq: {2 * number + 1:#x}, name: output.{number}"
                text = f"TX timeout on queue: {number}, {place}, {stuck_ms * US_PER_MS} usecs ago"
                self._say(Level.ERR, text)
            case "vmxnet3":
                self._say(Level.ERR, "tx hang")
                self._later(lambda: self._reset(Level.NOTICE, "resetting"))
            case "mlx4":
                ring = self._nic.tx.rings[number]
                counts = f"Cons: {ring.cleaned:#x}, Prod: {ring.posted:#x}"
                text = f"mlx4_en: {self._nic.name}: TX timeout on queue: {number}, {counts}"
                self._nic.kernel.log.printk(Level.WARNING, text)
                self._later(self._restart)
            case "bnxt":
                self._say(Level.ERR, "TX timeout detected, starting reset task!")
                self._later(self._restart)
            case "e1000e":
                self._later(lambda: self._reset(Level.ERR, "Reset adapter unexpectedly"))
            case _:
                self._later(lambda: self._reset(Level.ERR, "Reset adapter"))

    def _later(self, work: Callable[[], None]) -> None:
        """schedule_work()."""
        self._nic.pc.irqs.schedule_work(work)

    def _reset(self, level: Level, text: str) -> None:
        """The work item: it does nothing to an interface that is down by then."""
        if self._nic.is_up:
            self._say(level, text)
            self._nic.reset_rings()
            say_up_again(self._nic)

    def _restart(self) -> None:
        """The same, without a word."""
        if self._nic.is_up:
            self._nic.reset_rings()

    def _ice(self, number: int) -> None:
        nic, now_ns = self._nic, self._nic.kernel.timeline.now_ns
        ring = nic.tx.rings[number]
        if now_ns > self._recovered_ns + RECOVERY_S * 1_000_000_000:
            self._level = 1
        self._recovered_ns = now_ns
        head = (ring.cleaned + ring.left(now_ns)) % ring.size
        heads = f"NTC: {ring.cleaned % ring.size:#x}, HW_HEAD: {head:#x}"
        tail = f"NTU: {ring.posted % ring.size:#x}"
        self._say(Level.INFO, f"tx_timeout: VSI_num: 6, Q {number}, {heads}, {tail}, INT: 0x0")
        self._say(Level.INFO, f"tx_timeout recovery level {self._level}, txqueue {number}")
        if self._level > ICE_LEVELS:
            text = "tx_timeout recovery unsuccessful, device is in unrecoverable state."
            self._say(Level.ERR, text)
            self._later(nic.close)
        else:
            self._later(self._reopen)
        self._level += 1

    def _reopen(self) -> None:
        if self._nic.is_up:
            self._nic.close()
            self._nic.open()

    def _mlx5(self, number: int, stuck_ms: int) -> None:
        nic = self._nic
        if not nic.is_up:
            return
        ring = nic.tx.rings[number]
        counts = f"SQ Cons: {ring.cleaned & 0xFFFF:#x} SQ Prod: {ring.posted & 0xFFFF:#x}"
        since = f"usecs since last trans: {stuck_ms * US_PER_MS}"
        self._say(Level.ERR, f"TX timeout on queue: {number}, {counts}, {since}")
        missed = ring.left(nic.kernel.timeline.now_ns)
        if missed:
            self._say(Level.ERR, f"Recovered 1 eqes on EQ {number:#x}")
            nic.tx.poll(number)
        else:
            nic.reset_rings()

    def _say(self, level: Level, text: str) -> None:
        self._nic.kernel.log.printk(level, f"{self._nic.netdev_name}: {text}")
