"""A driver is told, a while later, that its interrupt may go elsewhere."""

from pseudokern.irq.manage import irq_set_affinity
from pseudokern.irq.notify import AffinityNotifier, irq_set_affinity_notifier
from tests.machine_parts import log_of, run_for


class Told:
    def __init__(self):
        self.masks = []
        self.releases = 0
        self.notifier = AffinityNotifier(self.masks.append, self.release)

    def release(self):
        self.releases += 1


def test_a_notifier_is_told_later_and_only_of_the_last_of_several_changes(pc, line):
    told = Told()
    irq_set_affinity_notifier(line.desc, told.notifier)
    irq_set_affinity(line.desc, 0b0001)
    irq_set_affinity(line.desc, 0b0010)
    assert told.masks == []

    run_for(pc, 1_000_000)
    assert told.masks == [0b0010]
    assert told.releases == 0


def test_a_refused_change_is_told_of_as_well(pc, line):
    told = Told()
    irq_set_affinity_notifier(line.desc, told.notifier)
    irq_set_affinity(line.desc, 1 << 3)
    run_for(pc, 1_000_000)
    irq_set_affinity(line.desc, 1 << 3)
    run_for(pc, 1_000_000)
    assert told.masks == [0b1000, 0b1000]


def test_a_replaced_notifier_is_released_and_hears_nothing_more(pc, line):
    old, new = Told(), Told()
    irq_set_affinity_notifier(line.desc, old.notifier)
    irq_set_affinity(line.desc, 0b0001)
    irq_set_affinity_notifier(line.desc, new.notifier)
    assert (old.releases, new.releases) == (1, 0)

    irq_set_affinity(line.desc, 0b0010)
    run_for(pc, 1_000_000)
    assert (old.masks, new.masks) == ([], [0b0010])


def test_no_notifier_releases_the_last_one(line):
    told = Told()
    irq_set_affinity_notifier(line.desc, told.notifier)
    irq_set_affinity_notifier(line.desc, None)
    assert told.releases == 1


def test_a_line_that_is_freed_with_its_notifier_gets_a_warning(pc, line):
    irq_set_affinity_notifier(line.desc, Told().notifier)
    line.free()
    assert any(text.startswith("WARNING: ") for text in log_of(pc))
    assert line.desc.notifier is None
