"""The same seed and the same faults at the same times give the same kernel log, byte for byte."""

from contextlib import suppress

from hypothesis import given, settings
from hypothesis import strategies as st

from pseudokern.kernel.panic import KernelPanicError
from pseudokern.machine.description import Overrides, load
from pseudokern.machine.machine import Machine
from tests.fs.conftest import Files

FAULTS = "/sys/kernel/debug/pseudokern/faults"
COMMANDS = [
    (f"{FAULTS}/exception", "divide_error cpu 2"),
    (f"{FAULTS}/exception", "int 0x30"),
    (f"{FAULTS}/exception", "page_fault 0x10 cpu 1"),
    (f"{FAULTS}/exception", "general_protection kernel cpu 3"),
    (f"{FAULTS}/exception", "page_fault kernel"),
    (f"{FAULTS}/exception", "machine_check cpu 1"),
    (f"{FAULTS}/exception", "irq_stack cpu 1"),
    (f"{FAULTS}/nmi", "2 unknown 3 100ns"),
    (f"{FAULTS}/nmi", "0 serr"),
    (f"{FAULTS}/nmi", "1 iochk 20 1us"),
    (f"{FAULTS}/raise", "4 20"),
    ("/proc/sys/kernel/unknown_nmi_panic", "1"),
    ("/proc/sys/kernel/watchdog_thresh", "1"),
    ("/dev/kmsg", "<4>somebody was here\n"),
]


def log_after(steps, seed):
    """Write each command after its delay, and let some time pass; the whole log."""
    machine = Machine(load("laptop", Overrides()), seed)
    files = Files(machine)
    for delay_us, (path, text) in steps:
        with suppress(OSError, KernelPanicError):
            files.run_for(delay_us * 1_000)
            files.write(path, text)
    with suppress(KernelPanicError):
        files.run_for(20_000_000)
    return files.read("/sys/kernel/debug/pseudokern/klog")


@settings(max_examples=15, deadline=None)
@given(
    steps=st.lists(st.tuples(st.integers(0, 20_000), st.sampled_from(COMMANDS)), max_size=8),
    seed=st.integers(0, 100),
)
def test_the_same_seed_gives_the_same_log_with_faults(steps, seed):
    assert log_after(steps, seed) == log_after(steps, seed)


def test_the_log_tells_of_the_faults():
    """Otherwise the test above could not fail."""
    steps = [(1_000, command) for command in COMMANDS[:6]]
    log = log_after(steps, 1).decode()
    for word in ("trap divide error", "segfault", "Oops", "Hardware Error"):
        assert word in log
