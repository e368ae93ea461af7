"""Every reason for not mounting is one line that says what to do."""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from pseudokern.run import mountpoint
from pseudokern.run.mountpoint import MountError
from tests.run import toy_tree

pytestmark = pytest.mark.mount

# Another user who may read this Python, wherever it is installed, and nothing more.
AS_NOBODY = (
    *("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"),
    *("--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"),
)

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")


@pytest.fixture
def public_path():
    """A directory that every user can reach: pytest's own are closed to others."""
    with tempfile.TemporaryDirectory(dir="/tmp") as directory:
        os.chmod(directory, 0o755)
        yield Path(directory)


@pytest.fixture
def nobodys_path(fuse, public_path):
    if os.stat(mountpoint.FUSE_DEVICE).st_mode & 0o6 != 0o6:
        pytest.skip("only root may open /dev/fuse here; allow it with: chmod 666 /dev/fuse")
    os.chown(public_path, 65534, 65534)
    return public_path


def why_not(directory: Path) -> str:
    with pytest.raises(MountError) as refused:
        mountpoint.prepare(directory)
    return str(refused.value)


def python(code: str, *before: str, **environment: str) -> str:
    """What a fresh Python says to code, with prepare and MountError at hand."""
    code = (
        "from pathlib import Path\n"
        "from pseudokern.run.mountpoint import *\n"
        "from pseudokern.run import libfuse\n"
        "from pseudokern.run.fuse_session import FuseSession\n"
        f"try:\n  {code}\nexcept MountError as error:\n  print(error)\n"
    )
    said = subprocess.run(
        [*before, sys.executable, "-c", code],
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        text=True,
        timeout=20,
        check=True,
    )
    return said.stdout


def test_directory_must_exist(tmp_path):
    place = tmp_path / "nowhere"
    assert why_not(place) == f"{place} does not exist; create it with: mkdir {place}"


def test_file_is_no_directory(tmp_path):
    place = tmp_path / "file"
    place.touch()
    assert why_not(place) == f"{place} is not a directory; choose another with --at DIR"


def test_directory_must_be_empty(tmp_path):
    (tmp_path / "thesis.tex").touch()
    expected = f"{tmp_path} is not empty; choose another with --at DIR or empty it"
    assert why_not(tmp_path) == expected


def test_directory_that_git_keeps_counts_as_empty(fuse, tmp_path, mount_on):
    (tmp_path / ".gitignore").touch()
    mount = mount_on(tmp_path)
    assert mount.shell("cat $M/digits").stdout == "0123456789"
    mount.close()
    assert os.listdir(tmp_path) == [".gitignore"]


def test_living_mount_is_not_mounted_over(mount):
    place = mount.directory
    assert why_not(place) == f"{place} is already mounted; unmount it with: fusermount -u {place}"


def test_mount_is_found_under_a_name_with_a_blank_and_through_a_link(fuse, tmp_path, mount_on):
    place = tmp_path / "a \\ b\nc"
    place.mkdir()
    link = tmp_path / "link"
    link.symlink_to(place)
    assert not mountpoint.is_mounted(place)
    mount_on(place)
    assert mountpoint.is_mounted(place)
    assert mountpoint.is_mounted(link)
    assert not mountpoint.is_mounted(tmp_path)


def test_mount_of_another_kind_is_not_ours(tmp_path):
    assert not mountpoint.is_mounted(Path("/proc"))
    assert not mountpoint.is_dead(Path("/proc"))
    assert not mountpoint.is_dead(tmp_path / "nowhere")


def test_missing_libfuse_says_what_to_install():
    said = python("libfuse.load()", FUSE_LIBRARY_PATH="/nonexistent/libfuse.so.2")
    assert said == "libfuse 2 is missing; install it with: apt-get install fuse3 libfuse2\n"


@needs_root
def test_missing_device_says_how_to_bring_it():
    hidden = ["unshare", "-m", "sh", "-c", 'mount -t tmpfs none /dev && exec "$@"', "sh"]
    said = python("check_fuse()", *hidden)
    assert said == "/dev/fuse is missing; bring it with: modprobe fuse\n"


@needs_root
def test_device_that_may_not_be_opened_says_how_to_allow_it(fuse):
    closed = [
        *["unshare", "-m", "sh", "-c"],
        'mount -t tmpfs none /dev && mknod -m 600 /dev/fuse c 10 229 && exec "$@"',
        *["sh", *AS_NOBODY],
    ]
    said = python("check_fuse()", *closed)
    assert said == "/dev/fuse may not be opened; allow it with: sudo chmod 666 /dev/fuse\n"


@needs_root
def test_user_without_fusermount_is_told_to_install_it():
    said = python("check_fuse()", shutil.which(AS_NOBODY[0]), *AS_NOBODY[1:], PATH="/nonexistent")
    assert said == "fusermount is missing; install it with: apt-get install fuse3\n"


@needs_root
def test_directory_of_another_user_is_refused(public_path):
    said = python(f"prepare(Path({str(public_path)!r}))", *AS_NOBODY)
    assert said == f"{public_path} is not yours to write; choose another with --at DIR\n"


@needs_root
def test_ordinary_user_mounts_without_allow_other_and_unmounts(nobodys_path):
    place = nobodys_path
    with subprocess.Popen(
        [*AS_NOBODY, *toy_tree.PROGRAM, place], stdout=subprocess.PIPE, text=True
    ) as server:
        assert server.stdout.readline() == "mounted\n"
        mounts = Path("/proc/self/mountinfo").read_text().splitlines()
        (line,) = [line for line in mounts if f" {place} " in line]
        assert "user_id=65534" in line
        assert "allow_other" not in line
        server.terminate()
    assert server.returncode == 0
    assert os.listdir(place) == []


@needs_root
def test_ordinary_user_cleans_a_dead_mount_with_fusermount(nobodys_path):
    with subprocess.Popen(
        [*AS_NOBODY, *toy_tree.PROGRAM, nobodys_path], stdout=subprocess.PIPE, text=True
    ) as server:
        assert server.stdout.readline() == "mounted\n"
        server.kill()
    said = python(f"print(clean_dead_mount(Path({str(nobodys_path)!r})))", *AS_NOBODY)
    assert said == "True\n"
    assert not mountpoint.is_mounted(nobodys_path)


@needs_root
def test_refused_mount_passes_on_what_fusermount_said(fuse, tmp_path):
    helpless = ["setpriv", "--bounding-set=-sys_admin", "--inh-caps=-sys_admin"]
    said = python(f"FuseSession.mount(None, Path({str(tmp_path)!r}), allow_other=False)", *helpless)
    assert said == (
        f"{tmp_path} cannot be mounted: fusermount: mount failed: Operation not permitted;"
        " start a container with: --device /dev/fuse --cap-add SYS_ADMIN\n"
    )


def test_unmounting_what_somebody_else_has_just_unmounted_is_no_error(tmp_path):
    mountpoint.lazy_unmount(tmp_path)
    assert not mountpoint.is_mounted(tmp_path)
