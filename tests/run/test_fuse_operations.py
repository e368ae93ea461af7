"""What a user of the mount sees of the tree, with his own programs."""

import os
import stat
import threading

import pytest

from pseudokern.fs.attributes import Caller

pytestmark = pytest.mark.mount


def test_cat_shows_the_whole_file_although_its_size_is_zero(mount):
    assert (mount / "digits").stat().st_size == 0
    assert mount.shell("cat $M/digits").stdout == "0123456789"


def test_file_longer_than_any_buffer_arrives_whole(mount):
    assert (mount / "long").read_bytes() == mount.tree.long.text
    assert mount.shell("cat $M/long | wc -c").stdout == f"{len(mount.tree.long.text)}\n"


@pytest.mark.parametrize("size", [1, 3, 10, 4096, 1 << 20])
def test_dd_with_any_block_size_reads_the_same(mount, size):
    assert mount.shell(f"dd if=$M/digits bs={size} status=none").stdout == "0123456789"


def test_read_at_an_offset_gives_the_rest(mount):
    assert mount.shell("dd if=$M/digits bs=1 skip=7 status=none").stdout == "789"


def test_write_reaches_the_file_in_one_piece_whatever_its_length(mount):
    assert mount.shell("echo 3 > $M/register").returncode == 0
    assert mount.shell("head -c 100000 /dev/zero | dd of=$M/register bs=100000 iflag=fullblock")
    assert mount.tree.register.written == [b"3\n", bytes(100_000)]


def test_refused_write_gives_its_errno_to_the_shell(mount):
    refused = mount.shell("echo bad > $M/register")
    assert refused.returncode == 1
    assert "write error: Invalid argument" in refused.stderr


def test_truncating_costs_no_request_of_its_own(mount):
    mount.shell("echo 1 > $M/register")
    assert mount.tree.register.opened_with[0] & os.O_TRUNC
    assert not [call for call in mount.tree.calls if call[0] == "truncate"]


def test_appending_and_creating_what_exists_are_plain_writes(mount):
    assert mount.shell("echo 1 >> $M/register").returncode == 0
    os.close(os.open(mount / "register", os.O_WRONLY | os.O_CREAT | os.O_TRUNC))
    assert mount.tree.register.written == [b"1\n"]


def test_truncate_command_is_accepted(mount):
    assert mount.shell("truncate -s 5 $M/register").returncode == 0
    assert ("truncate", "/register", 5) in mount.tree.calls


def test_every_open_is_released_once(mount):
    with open(mount / "digits"), open(mount / "digits"):
        assert mount.tree.digits.open_files == 2
    mount.shell("cat $M/long $M/long")
    mount.shell("cat $M/dir/inner")  # releases come late, but before the next answer
    assert mount.tree.digits.open_files == mount.tree.long.open_files == 0


def test_directory_entries_carry_their_type_without_a_getattr(mount):
    os.listdir(mount.directory)
    mount.tree.calls.clear()
    entries = list(os.scandir(mount.directory))
    assert {entry.name for entry in entries if entry.is_dir(follow_symlinks=False)} == {"dir"}
    assert {entry.name for entry in entries if entry.is_symlink()} == {"link"}
    assert {call[1] for call in mount.tree.calls} <= {"/"}


def test_directory_shows_dot_and_dotdot_and_keeps_the_order(mount):
    names = mount.shell("ls -U -a $M").stdout.split()
    assert names[:4] == [".", "..", "digits", "long"]


def test_link_points_where_the_tree_says(mount):
    assert os.readlink(mount / "link") == "dir/inner"
    assert mount.shell("cat $M/link").stdout == "inner\n"


def test_names_that_are_not_utf_8_survive(mount):
    assert os.listdir(os.fsencode(mount / "dir")) == [b"inner", b"\xff\xfe"]
    with open(os.fsencode(mount / "dir") + b"/\xff\xfe") as file:
        assert file.read() == "not UTF-8\n"


def test_attributes_come_from_the_tree(mount):
    status = os.stat(mount / "digits")
    assert stat.S_ISREG(status.st_mode)
    assert status.st_mode & 0o777 == 0o644
    assert status.st_mtime == 1_000_000_000.25
    assert os.stat(mount / "dir").st_nlink == 3


def test_changed_mode_is_seen_at_once(mount):
    assert os.stat(mount / "digits").st_mode & 0o777 == 0o644
    mount.tree.digits.mode = stat.S_IFREG | 0o444
    assert os.stat(mount / "digits").st_mode & 0o777 == 0o444


def test_gone_and_new_names_are_seen_at_once(mount):
    assert (mount / "digits").exists()
    assert not (mount / "fresh").exists()
    mount.tree.files["/fresh"] = mount.tree.files.pop("/digits")
    assert not (mount / "digits").exists()
    assert (mount / "fresh").read_text() == "0123456789"


def test_seek_to_the_end_asks_the_tree_but_fstat_does_not(mount):
    with open(mount / "digits", "rb", buffering=0) as file:
        assert os.fstat(file.fileno()).st_size == 0
        with pytest.raises(OSError, match="Invalid argument"):
            file.seek(0, os.SEEK_END)
        os.fchmod(file.fileno(), 0o600)


def test_open_flags_reach_the_tree(mount):
    with pytest.raises(OSError, match="Invalid argument"):
        os.open(mount / "digits", os.O_RDONLY | os.O_DIRECT)


def test_tree_is_told_who_opens(mount):
    with open(mount / "digits"):
        *_, caller = [call[2] for call in mount.tree.calls if call[0] == "open"]
    assert caller == Caller(os.getuid(), os.getgid(), threading.get_native_id())


def test_access_is_answered_by_the_tree(mount):
    assert os.access(mount / "digits", os.R_OK | os.W_OK)
    assert not os.access(mount / "digits", os.X_OK)


def test_mode_owner_and_time_go_to_the_tree(mount):
    os.chmod(mount / "digits", 0o600)
    os.chown(mount / "digits", 5, -1)
    os.utime(mount / "digits")
    assert [call for call in mount.tree.calls if call[0] not in ("getattr", "open")] == [
        ("chmod", "/digits", stat.S_IFREG | 0o600),
        ("chown", "/digits", 5, -1),
        ("utimens", "/digits"),
    ]


@pytest.mark.parametrize(
    ("command", "why"),
    [
        ("echo > $M/new", "Permission denied"),
        ("mkdir $M/new", "Operation not permitted"),
        ("mkfifo $M/new", "Read-only file system"),
        ("ln -s target $M/new", "No space left on device"),
        ("ln $M/digits $M/new", "Too many links"),
        ("rm -f $M/digits", "Device or resource busy"),
        ("rmdir $M/dir", "Directory not empty"),
        ("mv $M/digits $M/new", "File too large"),
        ("cat $M/nothing", "No such file or directory"),
        ("cat $M/dir", "Is a directory"),
        ("cat $M/digits/deeper", "Not a directory"),
    ],
)
def test_what_the_tree_refuses_fails_with_its_errno(mount, command, why):
    refused = mount.shell(command)
    assert refused.returncode != 0
    assert why in refused.stderr


def test_file_that_is_open_can_be_refused_removal_under_its_own_name(mount):
    with open(mount / "digits"), pytest.raises(OSError, match="Device or resource busy"):
        os.unlink(mount / "digits")


def test_extended_attributes_are_none_and_not_supported(mount):
    assert os.listxattr(mount / "digits") == []
    with pytest.raises(OSError, match="Operation not supported"):
        os.setxattr(mount / "digits", "user.note", b"x")


def test_file_system_is_empty_with_pages_of_4096(mount):
    status = os.statvfs(mount.directory)
    assert (status.f_bsize, status.f_blocks, status.f_namemax) == (4096, 0, 255)


def test_our_bug_is_eio_for_the_reader_and_a_traceback_in_the_log(mount, caplog):
    with pytest.raises(OSError, match="Input/output error"):
        (mount / "bug").read_bytes()
    assert "ZeroDivisionError: a bug in the tests' file" in caplog.text
    assert mount.shell("cat $M/digits").stdout == "0123456789"


def test_our_bug_while_opening_names_the_path_in_the_log(mount, caplog):
    mount.tree.files["/broken"] = None
    refused = mount.shell("cat $M/broken")
    assert "Input/output error" in refused.stderr
    assert "getattr /broken" in caplog.text


def test_file_that_gives_something_else_than_bytes_is_our_bug(mount, caplog):
    mount.tree.digits.read = lambda size, offset: "text"
    assert "Input/output error" in mount.shell("cat $M/digits").stderr
    assert "a file gave 'text'" in caplog.text


def test_file_that_gives_more_than_was_asked_for_is_our_bug(mount, caplog):
    mount.tree.digits.read = lambda size, offset: bytes(size + 1)
    assert "Input/output error" in mount.shell("cat $M/digits").stderr
    assert "the kernel refuses our answer" in caplog.text
