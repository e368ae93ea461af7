"""What cannot be booted says so in one line, and mounts nothing."""

import os
import subprocess

import pytest

from pseudokern.run import mountpoint
from tests.mount.booted import PATIENCE_S, PSEUDOKERN, booted, pseudokern

pytestmark = pytest.mark.mount

needs_root = pytest.mark.root


@pytest.fixture
def place(tmp_path):
    (tmp_path / "mountpoint").mkdir()
    return tmp_path / "mountpoint"


def refused(place, *arguments, before=(), **environment) -> tuple[int, str]:
    """The exit status of a boot that must fail, and the one line it says."""
    failed = subprocess.run(
        [*before, *PSEUDOKERN, "boot", *arguments, "--at", place],
        check=False,
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
    )
    assert failed.stdout == ""
    assert not mountpoint.is_mounted(place)
    (line,) = failed.stderr.splitlines()
    return failed.returncode, line


@pytest.mark.parametrize("detach", [(), ("--detach",)])
def test_busy_mount_point(place, detach):
    with booted(place, "laptop"):
        failed = pseudokern("boot", "laptop", "--at", place, *detach)
        assert (failed.returncode, failed.stdout, failed.stderr) == (
            1,
            "",
            f"{place} is already mounted; unmount it with: fusermount -u {place}\n",
        )
        assert (place / "proc/stat").read_text()  # the first one lives on


def test_directory_that_is_not_empty(place):
    (place / "thesis.tex").touch()
    line = f"{place} is not empty; choose another with --at DIR or empty it"
    assert refused(place, "laptop") == (1, line)


def test_directory_that_is_not_there(tmp_path):
    place = tmp_path / "nowhere"
    line = f"{place} does not exist; create it with: mkdir {place}"
    assert refused(place, "laptop") == (1, line)


def test_file_instead_of_a_directory(tmp_path):
    place = tmp_path / "file"
    place.touch()
    line = f"{place} is not a directory; choose another with --at DIR"
    assert refused(place, "laptop", "--detach") == (1, line)


def test_unknown_preset(place):
    status, line = refused(place, "laptpo")
    assert status == 2
    assert line.startswith('laptpo: no such machine; did you mean "laptop"?')


def test_machine_file_that_is_not_there(place):
    assert refused(place, "./nothing.toml") == (
        2,
        "./nothing.toml: cannot be read: no such file or directory",
    )


def test_machine_file_with_two_problems_has_a_line_for_each(place, tmp_path):
    file = tmp_path / "bad.toml"
    file.write_text("[machine]\ncpus = 0\nsed = 7\n")
    failed = pseudokern("boot", file, "--at", place)
    assert failed.returncode == 2
    assert failed.stderr.splitlines() == [
        f"{file}:2: [machine]: cpus is 0, but must be at least 1",
        f'{file}:3: [machine]: unknown key "sed"; did you mean "seed"?',
    ]
    assert not mountpoint.is_mounted(place)


@pytest.mark.parametrize("speed", ["0", "-1", "nan", "inf", "1e10", "fast"])
def test_speed_that_is_none(place, speed):
    status, line = refused(place, "laptop", "--speed", speed)
    assert status == 2
    assert line.startswith(f'pseudokern boot: --speed is "{speed}"; write a number above 0')


def test_missing_libfuse(place):
    assert refused(place, "laptop", FUSE_LIBRARY_PATH="/nonexistent/libfuse.so.2") == (
        1,
        "libfuse 2 is missing; install it with: apt-get install fuse3 libfuse2",
    )


@needs_root
def test_missing_device(place):
    hidden = ["unshare", "-m", "sh", "-c", 'mount -t tmpfs none /dev && exec "$@"', "sh"]
    assert refused(place, "laptop", before=hidden) == (
        1,
        "/dev/fuse is missing; bring it with: modprobe fuse",
    )


@needs_root
@pytest.mark.parametrize("detach", [(), ("--detach",)])
def test_device_that_is_closed_to_this_user(public_place, as_nobody, detach):
    closed = as_nobody(device_mode=0o600)
    assert refused(public_place, "laptop", *detach, before=closed) == (
        1,
        "/dev/fuse may not be opened; allow it with: sudo chmod 666 /dev/fuse",
    )


@needs_root
def test_missing_fusermount(public_place, as_nobody):
    before = [*as_nobody(), "env", f"PATH={public_place}"]
    line = "fusermount is missing; install it with: apt-get install fuse3"
    assert refused(public_place, "laptop", before=before) == (1, line)


@needs_root
def test_directory_of_another_user(tmp_path_factory, public_place, as_nobody):
    os.chown(public_place, 0, 0)
    line = f"{public_place} is not yours to write; choose another with --at DIR"
    assert refused(public_place, "laptop", before=as_nobody()) == (1, line)


@needs_root
def test_kernel_that_refuses_the_mount(place):
    helpless = ["setpriv", "--bounding-set=-sys_admin", "--inh-caps=-sys_admin"]
    status, line = refused(place, "laptop", before=helpless)
    assert status == 1
    assert line.startswith(f"{place} cannot be mounted: ")
    assert line.endswith("start a container with: --device /dev/fuse --cap-add SYS_ADMIN")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "no journal\n",
        "[]\n",
        '{"boot_time_s": Infinity}\n',
        "[" * 100_000 + "\n",
    ],
)
def test_replay_of_what_is_no_journal(place, tmp_path, text):
    journal = tmp_path / "journal"
    journal.write_text(text)
    status, line = refused(place, "laptop", "--replay", str(journal))
    assert status == 1
    assert line.startswith(f"{journal}:1 is no line of a journal: ")


@pytest.mark.parametrize(
    "line",
    [
        "",
        '{"now_ns": 1}',
        '{"now_ns": Infinity, "path": "/proc/stat", "data": ""}',
        '{"now_ns": 5, "path": "/proc/stat", "data": "\\u4e00"}',
    ],
)
def test_replay_of_a_journal_with_a_bad_line_names_the_line(place, tmp_path, line):
    journal = tmp_path / "journal"
    journal.write_text(f'{{"boot_time_s": 1}}\n{line}\n')
    status, said = refused(place, "laptop", "--replay", str(journal))
    assert status == 1
    assert said.startswith(f"{journal}:2 is no line of a journal: ")


def test_record_where_nothing_can_be_written(place, tmp_path):
    journal = tmp_path / "nowhere/journal"
    line = f"{journal} cannot be written: No such file or directory"
    assert refused(place, "laptop", "--record", str(journal)) == (1, line)
