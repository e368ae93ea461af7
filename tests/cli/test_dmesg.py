"""dmesg prints records as util-linux does, and says so when there is no machine."""

from pathlib import Path

import pytest

from pseudokern.cli import dmesg
from pseudokern.run import mountpoint


@pytest.fixture
def kmsg(tmp_path, monkeypatch):
    """A directory that passes for a mount; its log gives these records, one a read."""

    def give(*records):
        answers = iter([*records, b""])
        monkeypatch.setattr(mountpoint, "is_mounted", lambda directory: True)
        monkeypatch.setattr(dmesg.os, "read", lambda file, size: _raised(next(answers)))
        (tmp_path / "dev").mkdir()
        (tmp_path / "dev/kmsg").touch()
        return tmp_path

    return give


def _raised(answer: bytes | OSError) -> bytes:
    if isinstance(answer, OSError):
        raise answer
    return answer


def test_a_record_is_a_line_with_seconds_and_microseconds(pseudokern, kmsg):
    at = kmsg(b"6,0,12345678,-;one\n", b"4,1,99999000001,c;two\n SUBSYSTEM=pci\n")
    printed = pseudokern("dmesg", "--at", str(at))
    assert (printed.status, printed.out) == (0, ["[   12.345678] one", "[99999.000001] two"])


def test_escaped_bytes_are_printed_and_further_lines_stand_below_the_first(pseudokern, kmsg):
    at = kmsg(b"6,0,0,-;a\\x5cb \\xc3\\xa9\\x0asecond\n")
    printed = pseudokern("dmesg", "--at", str(at))
    assert printed.out == ["[    0.000000] a\\b é", "               second"]


def test_overwritten_records_are_skipped(pseudokern, kmsg):
    at = kmsg(b"6,0,0,-;one\n", BrokenPipeError(32, "overwritten"), b"6,9,0,-;ten\n")
    assert pseudokern("dmesg", "--at", str(at)).out == ["[    0.000000] one", "[    0.000000] ten"]


def test_no_machine_is_one_line_and_status_1(pseudokern, tmp_path: Path):
    printed = pseudokern("dmesg", "--at", str(tmp_path))
    assert printed.status == 1
    assert printed.err == [
        f"{tmp_path}: no machine is mounted; boot one with: pseudokern boot --at {tmp_path}"
    ]
