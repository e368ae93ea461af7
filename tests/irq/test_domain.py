"""Domains are stacked: a device's, and behind it the CPUs' vectors."""

from pseudokern.hw.pci import Bdf
from pseudokern.irq.domain import IrqDomain
from tests.machine_parts import msi_line, msix_lines


def test_every_machine_has_the_vectors_and_its_ioapics(pc):
    assert list(pc.domains.by_name) == ["VECTOR", "IO-APIC-0"]
    assert pc.domains.default is pc.vectors


def test_pin_is_in_the_domain_of_its_ioapic_and_in_that_of_the_vectors(pc):
    desc = pc.irqs[1]

    assert [level.name for level in desc.domain.levels()] == ["IO-APIC-0", "VECTOR"]
    assert pc.domains.by_name["IO-APIC-0"].descs[1] is desc
    assert pc.vectors.descs[1] is desc


def test_timer_is_pin_2_of_the_ioapic_and_number_0_of_the_vectors(pc):
    desc = pc.irqs[0]

    assert [level.hwirq_of(desc) for level in desc.domain.levels()] == [2, 0]


def test_function_has_a_domain_of_its_own_while_it_has_messages(pc):
    before = pc.vectors.mapped
    lines = msix_lines(pc, 3)
    domain = pc.domains.by_name["PCI-MSIX-0000:00:02.0-12"]

    assert (domain.mapped, pc.vectors.mapped) == (3, before + 3)
    assert [domain.hwirq_of(line.desc) for line in lines] == [0, 1, 2]

    pc.pci.free(pc.pci.functions[Bdf("0000:00:02.0")])
    assert list(pc.domains.by_name) == ["VECTOR", "IO-APIC-0"]
    assert pc.vectors.mapped == before


def test_domain_of_an_msi_is_named_after_its_function(pc):
    assert msi_line(pc).desc.domain.name == "PCI-MSI-0000:00:03.0-11"


def test_cascade_of_the_8259_is_in_no_domain(pc):
    assert pc.irqs[2].domain is None


def test_line_is_in_every_domain_of_a_stack_of_three(pc):
    class Remapped(IrqDomain):
        def hwirq_of(self, desc):
            return desc.irq << 16

    remapping = Remapped("INTEL-IR-0-13", parent=pc.vectors)
    device = IrqDomain("IR-PCI-MSIX-0000:00:05.0-12", parent=remapping)
    desc = pc.irqs.alloc_descs(1, -1)[0]
    device.associate(desc, 7, desc.chip, None, desc.handle_irq, "edge")

    found = [(level.name, level.hwirq_of(desc)) for level in desc.domain.levels()]
    assert found == [
        ("IR-PCI-MSIX-0000:00:05.0-12", 7),
        ("INTEL-IR-0-13", desc.irq << 16),
        ("VECTOR", desc.irq),
    ]
    assert remapping.descs[desc.irq << 16] is desc

    device.disassociate(desc)
    assert (device.mapped, remapping.mapped, desc.domain) == (0, 0, None)
