"""`pseudokern nvme`, and `nvme` inside, show and set features as nvme-cli 2.3 does."""

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
    assert nvme("get-feature", "-s", "8", "/dev/nvme0").stdout == (
        "get-feature:0x08 (Interrupt Coalescing), Changed value:0x00000107\n"
    )
    nvme("set-feature", "/dev/nvme0", "-f", "8", "--value=0")
    assert nvme("get-feature", "/dev/nvme0", "-f8").stdout == (
        "get-feature:0x08 (Interrupt Coalescing), Current value:00000000\n"
    )


def test_vector_is_chosen_by_cdw11(nvme):
    assert nvme("get-feature", "/dev/nvme0", "-f", "9", "-H").stdout == (
        "get-feature:0x09 (Interrupt Vector Configuration), Current value:0x00010000\n"
        "\tCoalescing Disable (CD): True\n\tInterrupt Vector   (IV): 0\n"
    )
    assert nvme("get-feature", "/dev/nvme0", "-f", "9", "-c", "2").stdout == (
        "get-feature:0x09 (Interrupt Vector Configuration), Current value:0x00000002\n"
    )


def test_without_a_number_all_features_are_shown(nvme):
    lines = nvme("get-feature", "/dev/nvme0").stdout.splitlines()
    assert [line[12:16] for line in lines] == [
        "0x01", "0x02", "0x04", "0x05", "0x06", "0x07", "0x08", "0x09", "0x0a", "0x0b",
    ]  # fmt: skip
    assert lines[5] == "get-feature:0x07 (Number of Queues), Current value:0x00030003"


def test_supported_capabilities_are_told(nvme):
    assert nvme("get-feature", "/dev/nvme0", "-f", "8", "-s", "3").stdout == (
        "get-feature:0x08 (Interrupt Coalescing), Supported capabilities value:0x00000004\n"
        "  Feature is changeable\n"
    )


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (("get-feature", "/dev/nvme0", "-f", "0xc0"), INVALID),
        (("get-feature", "/dev/nvme0", "-f", "9", "-c", "99"), INVALID),
        (("set-feature", "/dev/nvme0", "-f", "9", "-v", "99"), INVALID),
        (("set-feature", "/dev/nvme0", "-f", "7", "-v", "1"),
         "NVMe status: Command Sequence Error: The command was aborted due to a protocol violation "
         "in a multi-command sequence(0x400c)\n"),
        (("set-feature", "/dev/nvme0", "-f", "8", "-v", "1", "-s"),
         "NVMe status: Feature Identifier Not Saveable: The Feature Identifier specified does not "
         "support a saveable value(0x410d)\n"),
        (("set-feature", "/dev/nvme0", "-v", "1"), "feature-id required param\n"),
        (("get-feature", "/dev/nvme0", "-f", "300"),
         "Expected byte argument for 'feature-id' but got '300'!\n"),
        (("get-feature", "/dev/nvme0", "-s", "9"), "invalid 'select' param:9\n"),
        (("get-feature", "/dev/nvme7", "-f", "8"), "/dev/nvme7: No such file or directory\n"),
        (("get-feature", "-f", "8"), "get-feature: Invalid argument\n"),
    ],
)  # fmt: skip
def test_errors_are_those_of_nvme(nvme, arguments, error):
    said = nvme(*arguments)
    assert (said.returncode, said.stdout, said.stderr) == (1, "", error)


@pytest.mark.root
def test_nvme_inside_is_the_machine_s():
    said = pseudokern("run", "laptop", "--", "nvme", "get-feature", "/dev/nvme0", "-f", "7", "-H")
    assert said.stdout.splitlines()[1:] == [
        "\tNumber of IO Completion Queues Allocated (NCQA): 4",
        "\tNumber of IO Submission Queues Allocated (NSQA): 4",
    ]
