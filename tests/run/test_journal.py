"""What was written is noted with its time, and is written again at that time."""

import logging
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pseudokern.fs.tree import Tree
from pseudokern.machine.description import load
from pseudokern.machine.machine import Machine
from pseudokern.run.journal import Chmod, Journal, Player, Recorder, Write, read_journal
from pseudokern.run.options import BootError
from pseudokern.sim.timeline import Timeline

CLOCK = "/sys/kernel/debug/pseudokern/clock"
AFFINITY = "/proc/irq/29/smp_affinity"

WRITES = st.lists(
    st.builds(
        Write,
        now_ns=st.integers(0, 2**62),
        path=st.text(st.characters(codec="utf-8"), min_size=1).map(lambda name: f"/proc/{name}"),
        data=st.binary(),
    )
)


@pytest.fixture
def tree() -> Tree:
    return Tree(Machine(load("laptop"), seed=1))


def affinity(tree: Tree) -> bytes:
    return tree.open(AFFINITY, 0, _Root).read(100, 0)


class _Root:
    uid = gid = pid = 0


@given(boot_time_s=st.integers(0, 2**40), writes=WRITES)
def test_what_was_noted_is_what_is_read(boot_time_s, writes):
    timeline = Timeline()
    with TemporaryDirectory() as directory:
        path = Path(directory, "journal")
        recorder = Recorder(path, timeline, boot_time_s)
        for write in writes:
            timeline.now_ns = write.now_ns
            recorder.note(write.path, write.data)
        recorder.close()
        assert read_journal(path) == Journal(boot_time_s, writes)


def test_each_line_is_in_the_file_when_the_write_returns(tmp_path):
    recorder = Recorder(tmp_path / "journal", Timeline(), 0)
    recorder.note("/proc/a", b"1")
    assert len(read_journal(tmp_path / "journal").writes) == 1
    recorder.close()


def test_writes_to_the_clock_and_to_halt_are_left_out(tmp_path):
    recorder = Recorder(tmp_path / "journal", Timeline(), 0)
    recorder.note(f"{CLOCK}/advance", b"3s")
    recorder.note("/sys/kernel/debug/pseudokern/halt", b"1")
    recorder.close()
    assert read_journal(tmp_path / "journal").writes == []


@pytest.mark.parametrize("text", ["", "{}\n", "[1]\n", '{"boot_time_s": "soon"}\n', "\x00\n"])
def test_file_that_is_no_journal_is_named_with_its_first_line(tmp_path, text):
    (tmp_path / "journal").write_text(text)
    with pytest.raises(BootError, match=r"journal:1 is no line of a journal"):
        read_journal(tmp_path / "journal")


def test_journal_that_is_not_text_cannot_be_read(tmp_path):
    (tmp_path / "journal").write_bytes(b"\xff\xfe")
    with pytest.raises(BootError, match="cannot be read"):
        read_journal(tmp_path / "journal")


def test_journal_that_is_not_there_cannot_be_read(tmp_path):
    with pytest.raises(BootError, match="cannot be read"):
        read_journal(tmp_path / "journal")


def test_write_is_made_when_its_time_has_come_and_not_before(tree):
    player = Player(Journal(0, [Write(500, AFFINITY, b"2"), Write(900, AFFINITY, b"4")]), tree)
    player.play(499)
    assert (affinity(tree), player.next_ns) == (b"f\n", 500)
    player.play(500)
    assert (affinity(tree), player.next_ns) == (b"2\n", 900)
    player.play(2000)
    assert (affinity(tree), player.next_ns) == (b"4\n", None)


def test_writes_of_one_time_are_made_in_their_order(tree):
    writes = [Write(500, AFFINITY, b"2"), Write(500, AFFINITY, b"4")]
    Player(Journal(0, writes), tree).play(500)
    assert affinity(tree) == b"4\n"


def test_write_that_is_refused_does_not_stop_the_others(tree, caplog):
    writes = [
        Write(500, "/proc/gone", b"2"),
        Write(500, AFFINITY, b"0"),
        Write(500, AFFINITY, b"4"),
    ]
    Player(Journal(0, writes), tree).play(500)
    assert affinity(tree) == b"4\n"
    assert caplog.text == ""


def test_bug_met_by_a_write_is_logged_and_does_not_stop_the_others(tree, caplog):
    def fail(path, flags, caller):
        tree.open = Tree.open.__get__(tree)
        raise ZeroDivisionError("a bug")

    tree.open = fail
    with caplog.at_level(logging.ERROR, "pseudokern"):
        Player(Journal(0, [Write(5, AFFINITY, b"2"), Write(5, AFFINITY, b"4")]), tree).play(5)
    assert "ZeroDivisionError: a bug" in caplog.text
    assert affinity(tree) == b"4\n"


def test_changed_mode_is_noted_and_changed_again(tree, tmp_path):
    recorder = Recorder(tmp_path / "journal", tree.machine.timeline, 0)
    tree.on_chmod = recorder.note_mode
    tree.chmod(AFFINITY, 0o600, _Root)
    recorder.close()
    journal = read_journal(tmp_path / "journal")
    assert journal.writes == [Chmod(tree.machine.timeline.now_ns, AFFINITY, 0o600)]

    again = Tree(Machine(load("laptop"), seed=1))
    Player(journal, again).play(tree.machine.timeline.now_ns)
    assert again.getattr(AFFINITY).mode & 0o777 == 0o600
