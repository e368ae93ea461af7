"""Be a program that takes a network card away from the kernel and polls it: DPDK.

When it starts, the card goes from its driver to vfio-pci, as by dpdk-devbind.py, and stays there
when the program ends; drivers_probe brings it back. Each core (lcore.py) has one CPU, and all of
its time. Latency is from the wire until the burst is there with which the packet comes.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pseudokern.drivers.application import Application
from pseudokern.drivers.lcore import Lcore
from pseudokern.drivers.user_port import UserPort
from pseudokern.drivers.vfio import DRIVER
from pseudokern.kernel.cpumask import CpuMask, cpus_of
from pseudokern.kernel.sched import Scheduler
from pseudokern.x86.pc import Pc

if TYPE_CHECKING:
    from pseudokern.drivers.nic import Nic
    from pseudokern.drivers.rx_queue import RxQueue


class PollMode(Application[Lcore]):
    """The program of one card."""

    FIXED = (*Application.FIXED, "queues", "descriptors", "link_interrupt")

    def __init__(self, pc: Pc, sched: Scheduler, options: Mapping[str, Any], nic: "Nic") -> None:
        super().__init__(pc, sched, options)
        self._nic = nic
        self._port: UserPort | None = None
        self._queues: list[RxQueue] = []  # of all ports that it has had

    def new_thread(self, pid: int, number: int) -> Lcore:
        return Lcore(self._sched, pid, self.name, self.place(number), self.latency)

    def place(self, number: int) -> CpuMask:
        """One CPU for each core, whatever `pinned` says."""
        listed = list(cpus_of(self.options["cpus"] or self._pc.kernel.possible))
        return 1 << listed[number % len(listed)]

    def start(self) -> None:
        """Take the card.

        EINVAL, EPERM, EBUSY  vfio-pci does not give it: vfio.py
        """
        nic, options = self._nic, self.options
        self._take()
        nic.vfio.open(self.name, int(options["link_interrupt"]))
        port = UserPort(nic, options["queues"] or options["threads"], options["descriptors"])
        self._port = port
        self._queues += nic.queues
        super().start()
        port.start()

    def stop(self) -> None:
        if self._port is not None:
            self._port.stop()
            self._port = None
        super().stop()
        self._nic.vfio.close()

    def apply(self) -> None:
        super().apply()
        if self._port is not None:
            self._port.share(self.threads)
        for lcore in self.threads:
            lcore.loop.set_costs(
                *(self.options[name] for name in ("poll", "recv", "work", "burst"))
            )

    def counts(self) -> Mapping[str, int]:
        if self._port is not None:
            self._port.catch_up()
        queues = self._queues
        counts = {
            "offered": sum(queue.arrived for queue in queues),
            "served": sum(queue.packets for queue in queues),
            f"dropped_{self._nic.style.overflow}": sum(queue.dropped for queue in queues),
            "in_ring": sum(queue.waiting for queue in queues),
        }
        if discarded := sum(queue.discarded for queue in queues):
            counts["dropped_with_ring"] = discarded
        return counts

    def more_results(self) -> Mapping[str, int]:
        everybody = [*self.threads, *self.gone]
        return {"busy_us": sum(lcore.loop.busy_ns for lcore in everybody) // 1000}

    def _take(self) -> None:
        """Have vfio-pci get the card; if it cannot, everything is as it was."""
        nic = self._nic
        function, was_bound = nic.function, nic.is_bound
        if nic.vfio.is_bound:
            return
        if was_bound:
            nic.remove()
        override, function.driver_override = function.driver_override, DRIVER
        try:
            nic.vfio.probe()
        except OSError:
            function.driver_override = override
            if was_bound:
                nic.attach()
                nic.open()
            raise
