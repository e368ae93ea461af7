"""To look at a machine changes nothing: who reads its files meanwhile finds the same in the end."""

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.machine.lives import DEBUG, Life, boards, more_steps

FILES = (
    "/proc/stat", "/proc/interrupts", "/proc/softirqs", "/proc/net/softnet_stat", "/proc/uptime",
    f"{DEBUG}/results/eth0", f"{DEBUG}/results/nvme0", f"{DEBUG}/steal", "/proc/net/dev",
)  # fmt: skip


def look(life):
    """All that these files say, and those of programs."""
    files, texts = life.files, []
    for name in life.machine.applications:
        texts.append(files.read(f"{DEBUG}/applications/{name}"))
        texts.append(files.read(f"{DEBUG}/application_results/{name}"))
    for pid in life.machine.tasks:
        texts.append(files.read(f"/proc/{pid}/stat"))
    return texts + [files.read(path) for path in FILES]


def times_of_pauses(script):
    """The same life, with every pause in two parts."""
    for step in script:
        if step[0] == "run" and step[1] > 1:
            yield ("run", step[1] // 3)
            yield ("look",)
            yield ("run", step[1] - step[1] // 3)
        else:
            yield step


@settings(max_examples=25, deadline=None)
@given(board=boards(), script=st.lists(more_steps, max_size=12))
def test_who_looks_meanwhile_finds_the_same_in_the_end(tmp_path_factory, board, script):
    script = [("rate", 200, 16), ("depth", 2), ("run", 500_000), *script, ("run", 900_000)]
    ends = []
    for looks in (False, True):
        life = Life(tmp_path_factory.mktemp("life"), board)
        for step in times_of_pauses(script):
            if step != ("look",):
                life.do(step)
            elif looks:
                look(life)
        ends.append(look(life))
    assert ends[0] == ends[1]
