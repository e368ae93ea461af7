"""What programs of all kinds read from the mount, and how they read it."""

import os
import re
import stat

import pytest

pytestmark = pytest.mark.mount


@pytest.fixture(scope="module")
def still(tmp_path_factory):
    """A machine whose time stands still, so that two reads are equal."""
    from tests.mount.booted import booted

    with booted(tmp_path_factory.mktemp("still"), "laptop", "--clock", "step") as machine:
        yield machine


@pytest.mark.parametrize("size", [1, 7, 100, 512, 1024, 4096, 65_536, 1 << 20])
@pytest.mark.parametrize("file", ["proc/interrupts", "proc/stat", "proc/cpuinfo"])
def test_dd_of_any_block_size_copies_the_same_text(still, file, size):
    whole = (still / file).read_text()
    said = still.shell(f"dd if=$M/{file} bs={size} status=none")
    assert said.stdout == whole


def test_pread_at_any_offset_gives_the_same_text(still):
    whole = (still / "proc/interrupts").read_bytes()
    file = os.open(still / "proc/interrupts", os.O_RDONLY)
    try:
        for offset in (0, 1, 500, len(whole) - 1, 17, len(whole), len(whole) + 100, 0):
            assert os.pread(file, 10, offset) == whole[offset : offset + 10]
    finally:
        os.close(file)


def test_stat_held_open_is_fresh_each_time_it_is_read_from_the_start(still):
    file = os.open(still / "proc/stat", os.O_RDONLY)
    try:
        first = os.pread(file, 65_536, 0)
        still.advance("1s")
        rest = os.pread(file, 65_536, 100)
        assert rest == first[100:]  # of the text that was begun
        second = os.pread(file, 65_536, 0)
    finally:
        os.close(file)
    assert _interrupts(second) > _interrupts(first)
    assert second == (still / "proc/stat").read_bytes()


def test_rewound_file_is_fresh(still):
    with open(still / "proc/uptime") as file:
        first = file.read()
        still.advance("1s")
        file.seek(0)
        assert float(file.read().split()[0]) == float(first.split()[0]) + 1


def test_two_readers_at_different_places_do_not_disturb_each_other(still):
    whole = (still / "proc/interrupts").read_bytes()
    one = os.open(still / "proc/interrupts", os.O_RDONLY)
    two = os.open(still / "proc/interrupts", os.O_RDONLY)
    read = {one: b"", two: b""}
    try:
        for size in range(50, 500):
            for file in (one, two):
                read[file] += os.read(file, size + file)
    finally:
        os.close(one)
        os.close(two)
    assert read[one] == read[two] == whole


def test_readdir_names_the_type_of_every_entry(still):
    for top in ("proc", "sys"):
        for folder, _, _ in os.walk(still / top):
            for entry in os.scandir(folder):
                mode = entry.stat(follow_symlinks=False).st_mode
                assert entry.is_dir(follow_symlinks=False) == stat.S_ISDIR(mode)
                assert entry.is_file(follow_symlinks=False) == stat.S_ISREG(mode)
                assert entry.is_symlink() == stat.S_ISLNK(mode)


def test_find_by_type_finds_a_directory_for_every_interrupt_and_action(still):
    said = still.shell("cd $M/proc/irq && find . -mindepth 1 -type d | sort")
    folders = said.stdout.split()
    assert "./29" in folders
    assert "./29/eth0-TxRx-0" in folders
    assert "./1/i8042" in folders
    assert "./29/smp_affinity" not in folders


def test_find_descends_the_whole_tree_without_a_complaint(still):
    said = still.shell("find $M/proc $M/sys -type f | wc -l; find $M -xtype l")
    assert said.stderr == ""
    assert int(said.stdout) > 500


def test_every_file_that_says_it_can_be_read_can_be_but_of_the_choice_of_one_queue(still):
    said = still.shell("find $M/proc $M/sys -type f -perm /444 -print0 | xargs -0 cat > /dev/null")
    refused = re.findall("net/(.*)': No such file or directory", said.stderr)
    queue = "eno1/queues/tx-0"
    assert sorted(refused) == [
        f"{queue}/{name}" for name in ("traffic_class", "xps_cpus", "xps_rxqs")
    ]
    assert len(said.stderr.splitlines()) == len(refused)


def test_grep_searches_the_whole_tree(still):
    said = still.shell("grep -rl eth0-TxRx-0 $M/proc $M/sys/kernel/irq | sort")
    assert said.stdout.splitlines() == [
        f"{still.directory}/proc/interrupts",
        f"{still.directory}/sys/kernel/irq/29/actions",
    ]


def test_ls_shows_sizes_modes_and_owners_like_proc_and_sysfs(still):
    said = still.shell(
        "cd $M/proc/irq/29 && ls -lan --time-style=+ | awk '{ print $1, $3, $4, $5, $6 }'"
    )
    lines = said.stdout.splitlines()
    assert "-rw-r--r-- 0 0 0 smp_affinity" in lines
    assert "-r--r--r-- 0 0 0 effective_affinity" in lines
    assert "dr-xr-xr-x 0 0 0 eth0-TxRx-0" in lines
    said = still.shell("stat -c '%a %s' $M/sys/kernel/irq/29/actions")
    assert said.stdout == "444 4096\n"


def test_numbers_are_sorted_as_proc_sorts_them(still):
    names = still.shell("ls -U $M/proc/irq").stdout.split()
    assert names[:4] == ["0", "1", "2", "3"]
    assert names.index("9") < names.index("12") < names.index("29")
    assert names[-1] == "default_smp_affinity"


@pytest.mark.parametrize(
    ("command", "why"),
    [
        ("touch $M/proc/new", "No such file or directory"),
        ("mkdir $M/proc/irq/99", "No such file or directory"),
        ("rm $M/proc/interrupts", "Operation not permitted"),
        ("mv $M/proc/stat $M/proc/stats", "No such file or directory"),
        ("echo 1 > $M/sys/kernel/irq/29/new", "Permission denied"),
        ("cat $M/proc/irq/999/smp_affinity", "No such file or directory"),
        ("cat $M/proc/irq", "Is a directory"),
        ("cat $M/proc/stat/cpu", "Not a directory"),
        ("ls $M/proc/irq/029", "No such file or directory"),
    ],
)
def test_what_cannot_be_done_fails_as_on_linux(still, command, why):
    said = still.shell(command)
    assert said.returncode != 0
    assert why in said.stderr


def _interrupts(text: bytes) -> int:
    (line,) = [line for line in text.splitlines() if line.startswith(b"intr ")]
    return int(line.split()[1])
