"""Numbers that are written to /sys are read as the kernel reads them."""

import errno

import pytest

from pseudokern.fs.kstrtox import kstrtouint, kstrtoul, kstrtoull


@pytest.mark.parametrize(
    ("data", "number"), [(b"12\n", 12), (b"+12", 12), (b"010", 8), (b"0X1f\n", 31), (b"0", 0)]
)
def test_base_is_that_which_the_number_shows(data, number):
    assert kstrtoul(data, "mtu") == number


def test_some_files_know_base_10_only():
    assert kstrtouint(b"010\n", "limit") == 10
    assert kstrtoull(b"010\n", "runtime") == 10
    with pytest.raises(OSError, match=r"limit: b'0x10' is no number"):
        kstrtouint(b"0x10", "limit")


@pytest.mark.parametrize(
    "data", [b"", b"\n", b"-1", b" 1", b"1 2", b"1\n\n", b"1_0", b"0b1", b"08", b"0x", b"++1"]
)
def test_anything_around_the_number_is_refused(data):
    with pytest.raises(OSError, match="is no number") as refused:
        kstrtoul(data, "mtu")
    assert refused.value.errno == errno.EINVAL


@pytest.mark.parametrize(
    ("read", "data"),
    [(kstrtoul, b"%d" % 2**64), (kstrtoull, b"%d" % 2**64), (kstrtouint, b"4294967296")],
)
def test_number_that_does_not_fit_is_out_of_range(read, data):
    with pytest.raises(OSError, match="is more than") as refused:
        read(data, "mtu")
    assert refused.value.errno == errno.ERANGE
