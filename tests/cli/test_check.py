"""Machine files are checked without being booted."""


def test_good_file_is_counted(pseudokern, machine_file):
    checked = pseudokern("check", machine_file)
    assert (checked.status, checked.out) == (0, ["m.toml: 4 CPUs, 0 devices, no problems"])


def test_every_problem_of_every_file_is_told(pseudokern, machine_file, tmp_path):
    (tmp_path / "bad.toml").write_text("[machine]\ncpus = 0\nhz = 5\n")

    checked = pseudokern("check", "bad.toml", machine_file, "none.toml")

    assert checked.status == 2
    assert checked.out == ["m.toml: 4 CPUs, 0 devices, no problems"]
    assert [line.split(": ")[0] for line in checked.err] == [
        "bad.toml:2",
        "bad.toml:3",
        "none.toml",
    ]
