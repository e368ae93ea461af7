"""`pseudokern nvme`, and `nvme` inside, for what no recording shows: see test_recordings."""

import json

import pytest

from tests.mount.booted import pseudokern

pytestmark = [pytest.mark.mount]

INVALID = (
    "NVMe status: Invalid Field in Command: A reserved coded value or an unsupported value in a "
    "defined field(0x4002)\n"
)


@pytest.fixture
def nvme(laptop):
    def run(*arguments):
        return pseudokern("nvme", "--at", laptop.directory, *arguments)

    return run


def test_coalescing_is_set_and_shown(nvme):
    said = nvme("set-feature", "/dev/nvme0", "-f", "8", "-v", "0x107")
    assert (said.returncode, said.stderr) == (0, "")
    assert said.stdout == (
        "set-feature:0x08 (Interrupt Coalescing), value:0x00000107, cdw12:00000000, save:0\n"
    )
    assert nvme("get-feature", "/dev/nvme0n1", "--feature-id=0x08", "-H").stdout == (
        "get-feature:0x08 (Interrupt Coalescing), Current value:0x00000107\n"
        "\tAggregation Time     (TIME): 100 usec\n"
        "\tAggregation Threshold (THR): 8\n"
    )
    assert nvme("get-feature", "-s", "8", "-f", "8", "/dev/nvme0").stdout == (
        "get-feature:0x08 (Interrupt Coalescing), Changed value:0x00000107\n"
    )
    nvme("set-feature", "/dev/nvme0", "-f", "8", "--value=0")
    assert nvme("get-feature", "-s", "8", "-f", "8", "/dev/nvme0").stdout == ""


def test_vector_is_excepted_and_chosen_by_cdw11(nvme):
    nvme("set-feature", "/dev/nvme0", "-f", "9", "-v", "0x10002")
    assert nvme("get-feature", "/dev/nvme0", "-f", "9", "-c", "2", "-H").stdout == (
        "get-feature:0x09 (Interrupt Vector Configuration), Current value:0x00010002\n"
        "\tCoalescing Disable (CD): True\n\tInterrupt Vector   (IV): 2\n"
    )
    nvme("set-feature", "/dev/nvme0", "-f", "9", "-v", "2")
    said = nvme("set-feature", "/dev/nvme0", "-f", "9", "-v", "99")
    assert (said.returncode, said.stderr) == (1, INVALID)


def test_drives_are_listed_with_what_they_are(nvme):
    head, ruler, drive = nvme("list").stdout.splitlines()
    assert head.split() == [
        "Node", "Generic", "SN", "Model", "Namespace", "Usage", "Format", "FW", "Rev",
    ]  # fmt: skip
    assert len(ruler) == len(drive)
    assert drive.startswith("/dev/nvme0n1          /dev/ng0n1            PK0000")
    assert "512.11  GB / 512.11  GB" in drive
    (found,) = json.loads(nvme("list", "-o", "json").stdout)["Devices"]
    assert (found["DevicePath"], found["SectorSize"]) == ("/dev/nvme0n1", 512)


def test_controller_says_who_it_is_in_words_in_json_and_in_bytes(nvme):
    lines = nvme("id-ctrl", "/dev/nvme0").stdout.splitlines()
    assert lines[:2] == ["NVME Identify Controller:", "vid       : 0x144d"]
    found = json.loads(nvme("id-ctrl", "/dev/nvme0", "-o", "json").stdout)
    assert (found["vid"], found["nn"], found["cqes"]) == (0x144D, 1, 0x44)
    assert len(lines) == len(found) + 3  # the head, and a power state of three lines for psds
    assert nvme("id-ctrl", "/dev/nvme0", "-o", "xml").stderr == "Invalid output format\n"


def test_controller_answers_with_4096_bytes(laptop):
    raw = laptop / "sys/kernel/debug/pseudokern/nvme/nvme0/identify_controller"
    data = raw.read_bytes()
    assert len(data) == 4096
    assert data[:2] == b"\x4d\x14"
    assert data[24:64].rstrip() == b"Pseudokern NVMe drive"


def test_buffer_that_the_drive_cannot_take_is_refused(nvme):
    said = nvme("get-feature", "/dev/nvme0", "-f", "8", "-l", "4294967295")
    assert (said.returncode, said.stderr) == (1, "get-feature: Invalid argument\n")


def test_sub_command_that_there_is_not_is_named(nvme):
    said = nvme("sanitize", "/dev/nvme0")
    assert said.returncode == 1
    assert said.stdout.splitlines()[0] == "ERROR: Invalid sub-command 'sanitize'"


@pytest.mark.root
def test_nvme_inside_is_the_machine_s():
    said = pseudokern("run", "laptop", "--", "nvme", "get-feature", "/dev/nvme0", "-f", "7", "-H")
    assert said.stdout.splitlines()[1:] == [
        "\tNumber of IO Completion Queues Allocated (NCQA): 4",
        "\tNumber of IO Submission Queues Allocated (NSQA): 4",
    ]
