"""/sys/kernel/debug/sched/fair_server: runtime and period of each CPU's server."""

import errno

import pytest

PLACE = "/sys/kernel/debug/sched/fair_server"


def refusal(files, path, text):
    with pytest.raises(OSError, match=r"\d") as error:
        files.write(path, text)
    return error.value.errno


def test_each_cpu_has_a_server_with_50_ms_of_each_second(boot):
    files = boot("laptop")
    assert files.read(f"{PLACE}/cpu3/runtime") == b"50000000\n"
    assert files.read(f"{PLACE}/cpu3/period") == b"1000000000\n"


def test_runtime_and_period_have_bounds(boot):
    files = boot("laptop")
    runtime, period = f"{PLACE}/cpu1/runtime", f"{PLACE}/cpu1/period"
    assert refusal(files, runtime, "1000000001\n") == errno.EINVAL
    assert refusal(files, period, "49999999\n") == errno.EINVAL
    assert refusal(files, period, "4194304001\n") == errno.EINVAL
    assert refusal(files, runtime, "-1\n") == errno.EINVAL
    assert refusal(files, runtime, "99999999999999999999\n") == errno.ERANGE
    files.write(runtime, "20000000\n")
    files.write(period, "4194304000\n")
    assert files.read(period) == b"4194304000\n"
    assert files.read(f"{PLACE}/cpu0/runtime") == b"50000000\n"


def test_a_server_that_is_switched_off_is_told_of(boot):
    files = boot("laptop")
    files.write(f"{PLACE}/cpu2/runtime", "0\n")
    told = "Fair server disabled in CPU 2, system may crash due to starvation."
    assert told in str(list(files.machine.kernel.log)[-1])


def test_servers_that_want_more_leave_less_to_take_away(boot):
    files = boot("laptop")
    limit = "/proc/sys/kernel/sched_rt_runtime_us"
    files.write(limit, "60000\n")
    assert refusal(files, f"{PLACE}/cpu0/runtime", "100000000\n") == errno.EBUSY
    files.write(limit, "100000\n")
    files.write(f"{PLACE}/cpu0/runtime", "100000000\n")
    assert refusal(files, limit, "60000\n") == errno.EBUSY


def test_linux_6_1_has_none(boot):
    files = boot("laptop", kernel="6.1")
    with pytest.raises(OSError, match="Errno 2"):
        files.read(f"{PLACE}/cpu0/runtime")
