"""Whatever drivers and users do, in whatever order: the books balance after every step.

A model knows what it asked for: handlers, disables, masks. After each step the PC is compared with
it, and with itself: interrupts that were raised and where they are, vectors and whose they are.
"""

import os
from collections import Counter

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from pseudokern.irq.flags import IrqData, Irqf, IrqState
from pseudokern.irq.manage import (
    disable_irq,
    enable_irq,
    irq_affinity_shown,
    irq_set_affinity,
)
from pseudokern.x86.msi_chip import message_of
from pseudokern.x86.pci import Spread
from tests.machine_parts import MS, intx_lines, isa_line, msi_line, msix_lines, new_pc, run_for

CPUS = 3
EXAMPLES, STEPS = (80, 40) if os.environ.get("HYPOTHESIS_PROFILE") != "search" else (1500, 60)
FIRST_DEVICE_VECTOR, FIRST_SYSTEM_VECTOR = 0x20, 0xEB

some_line = st.integers(0, 8)
some_mask = st.integers(1, (1 << CPUS) - 1)
durations_ns = st.sampled_from([1, 400, 1_600, 5_000, 100_000, 4 * MS, 20 * MS])


class LifeOfAPc(RuleBasedStateMachine):
    """Three CPUs; messages, managed messages, an edge at a pin, two devices on one wire."""

    @initialize(kernel=st.sampled_from(["6.12", "6.18"]), gates=st.booleans())
    def boot(self, kernel, gates):
        self.keeps_disable = kernel == "6.18"
        self.pc = new_pc(CPUS, kernel=kernel, gates=gates)
        messages = [*msix_lines(self.pc, 3), msi_line(self.pc)]
        self.managed = msix_lines(self.pc, CPUS, slot=4, spread=Spread())[1:]
        self.edges = [*messages, *self.managed, isa_line(self.pc)]
        self.levels = intx_lines(self.pc, 2)
        self.lines = [*self.edges, *self.levels]
        self.depth = {}  # of the lines that have handlers
        self.managed_down = set()
        self.unstarted = set()
        self.strays_of_the_wire = 0

    # -- what drivers, devices and users do ------------------------------------------------------

    @rule(number=some_line)
    def request(self, number):
        line = self.lines[number]
        if line.handlers_on():
            return
        first = not line.desc.actions
        line.request(Irqf.SHARED if line in self.levels else 0)
        if first:
            self.depth[line.desc] = 0
            if line in self.managed and not line.desc.affinity & self.pc.kernel.online:
                self.depth[line.desc] = 1
                self.managed_down.add(line.desc)

    @rule(number=some_line)
    def free(self, number):
        line = self.lines[number]
        if line.handlers_on():
            if line in self.levels:
                self._expect_strays()
            line.free()
            if not line.desc.actions:
                del self.depth[line.desc]
                self.managed_down.discard(line.desc)
                self.unstarted.discard(line.desc)

    @rule(number=some_line)
    def disable(self, number):
        desc = self.lines[number].desc
        if desc in self.depth:
            disable_irq(desc)
            self.depth[desc] += 1

    @rule(number=some_line)
    def enable(self, number):
        desc = self.lines[number].desc
        if self.depth.get(desc, 0) <= (desc in self.managed_down):
            return
        enable_irq(desc)
        self.depth[desc] -= 1
        if desc in self.unstarted and not self.depth[desc]:
            self.unstarted.remove(desc)
            if not desc.affinity & self.pc.kernel.online:
                self.managed_down.add(desc)
                self.depth[desc] = 1

    @rule(number=some_line, mask=some_mask)
    def move(self, number, mask):
        desc = self.lines[number].desc
        if not desc.is_managed:
            irq_set_affinity(desc, mask)
            if desc in self.depth:  # else a move that had been pending still shows
                assert irq_affinity_shown(desc) == mask

    @rule(number=some_line, times=st.sampled_from([1, 1, 2, 22]))
    def signal(self, number, times):
        for _ in range(times):
            self.lines[number].signal()

    @rule(cpu=st.integers(1, CPUS - 1))
    def switch(self, cpu):
        self._expect_strays()
        if self.pc.kernel.is_online(cpu):
            self.pc.hotplug.down(cpu)
        else:
            self.pc.hotplug.up(cpu)
        for line in self.managed:
            if line.desc in self.depth and line.desc.affinity == 1 << cpu:
                self._follow(line.desc, is_up=self.pc.kernel.is_online(cpu))

    def _expect_strays(self):
        """What the wire has under way may now be anybody's or nobody's; the wire says it again."""
        self.strays_of_the_wire += sum(self._at_vectors(of_the_wire=True).values())

    def _follow(self, desc, *, is_up):
        """A managed line's only CPU came or went."""
        if not is_up and desc not in self.unstarted:
            self.managed_down.add(desc)
            self.depth[desc] = self.depth[desc] + 1 if self.keeps_disable else 1
        elif is_up and desc in self.managed_down:
            self.managed_down.remove(desc)
            self.depth[desc] = self.depth[desc] - 1 if self.keeps_disable else 0
            if self.depth[desc]:
                self.unstarted.add(desc)  # until its driver enables it

    @rule(duration_ns=durations_ns)
    def run(self, duration_ns):
        run_for(self.pc, duration_ns)

    @rule(cpu=st.integers(0, CPUS - 1), duration_ns=durations_ns)
    def keep_busy(self, cpu, duration_ns):
        self.pc.cpus[cpu].occupy(duration_ns)

    # -- what has to hold then -------------------------------------------------------------------

    @invariant()
    def every_interrupt_is_somewhere(self):
        if not hasattr(self, "pc"):
            return
        raised = sum(line.raised for line in self.edges)
        handled = sum(line.handled for line in self.edges)
        lost = sum(self.pc.losses().values())
        under_way = sum(self._under_way().values())
        assert abs(raised - handled - lost - under_way) <= self.strays_of_the_wire, (
            f"raised {raised}, handled {handled}, lost {self.pc.losses()}, {self._under_way()}"
        )

    def _under_way(self):
        found = self._at_vectors(of_the_wire=False)
        for line in self.edges:
            found["pending in the core"] += bool(line.desc.istate & IrqState.PENDING)
            if line.desc.domain is not self.pc.domains.by_name["IO-APIC-0"]:
                found["pending at the message"] += message_of(line.desc).pending
        return found

    def _at_vectors(self, *, of_the_wire):
        found = Counter()
        wire = self.levels[0].desc
        for cpu in self.pc.cpus:
            owners = self.pc.vectors.vector_irq[cpu.number]
            for vector in range(FIRST_DEVICE_VECTOR, FIRST_SYSTEM_VECTOR):
                if (owners.get(vector) is wire) == of_the_wire:
                    found["in IRR"] += cpu.apic.irr >> vector & 1
                    found["flying"] += self.pc.bus.is_flying(cpu.apic_id, vector)
        return found

    @invariant()
    def depth_is_what_was_asked_for(self):
        for desc, depth in getattr(self, "depth", {}).items():
            assert desc.depth == depth
            assert desc.is_disabled == (depth > 0)

    @invariant()
    def every_vector_has_one_owner_and_every_line_its_vector(self):
        if not hasattr(self, "pc"):
            return
        vectors, matrix = self.pc.vectors, self.pc.vectors.matrix
        maps = [matrix.maps[cpu] for cpu in range(CPUS)]
        online = [cpu for cpu in range(CPUS) if self.pc.kernel.is_online(cpu)]
        booked = Counter()
        for cpu, owners in enumerate(vectors.vector_irq):
            for vector, desc in owners.items():
                assert maps[cpu].alloc_map >> vector & 1
                data = vectors.data(desc)
                assert (cpu, vector) in (
                    (data.cpu, data.vector),
                    (data.prev_cpu, data.prev_vector),
                )
                booked[desc] += 1
        assert sum(booked.values()) == sum(one.alloc_map.bit_count() for one in maps)
        for desc, times in booked.items():
            assert times == 1 + bool(vectors.data(desc).prev_vector)
        assert matrix.global_available == sum(maps[cpu].available for cpu in online)
        assert matrix.total_allocated == sum(maps[cpu].allocated for cpu in online)
        assert matrix.online_maps == len(online)
        for one in maps:
            assert one.allocated == one.alloc_map.bit_count()
            assert one.managed == one.managed_map.bit_count()
            assert one.managed_allocated == (one.alloc_map & one.managed_map).bit_count()
            size = FIRST_SYSTEM_VECTOR - FIRST_DEVICE_VECTOR - matrix.system_bits_in_range
            regular = one.allocated - one.managed_allocated
            assert one.available == size - one.managed - regular

    @invariant()
    def every_line_goes_to_an_online_cpu(self):
        if not hasattr(self, "pc"):
            return
        online = self.pc.kernel.online
        for line in self.lines:
            desc = line.desc
            started = bool(desc.dstate & IrqData.IRQ_STARTED)
            down = desc in self.managed_down or desc in self.unstarted
            assert started == (desc in self.depth and not down)
            assert bool(desc.dstate & IrqData.ACTIVATED) == started
            if started:
                assert desc.effective_affinity & online
                assert desc.effective_affinity.bit_count() == 1
                data = self.pc.vectors.data(desc)
                assert desc.effective_affinity == 1 << data.cpu
                assert self.pc.vectors.vector_irq[data.cpu][data.vector] is desc
            if desc in self.managed_down:
                assert not desc.affinity & online
                assert desc.dstate & IrqData.MANAGED_SHUTDOWN

    @precondition(lambda self: hasattr(self, "pc"))
    @rule()
    def come_to_rest(self):
        """With everything allowed, everything that is under way arrives."""
        for cpu in range(CPUS):
            if not self.pc.kernel.is_online(cpu):
                self.switch(cpu)
        for number in range(len(self.lines)):
            self.request(number)
            while self.depth[self.lines[number].desc]:
                self.enable(number)
        run_for(self.pc, 50 * MS)
        assert sum(self._under_way().values()) == 0
        for level in self.levels:
            assert level.raised == level.served + level.already_asserted
        for cpu in self.pc.cpus:
            assert cpu.apic.isr == 0


def test_the_books_of_a_pc_balance_after_every_step():
    run_state_machine_as_test(
        LifeOfAPc,
        settings=settings(max_examples=EXAMPLES, stateful_step_count=STEPS, deadline=None),
    )
