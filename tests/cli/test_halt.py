"""halt says so when there is nothing to halt."""


def test_nothing_mounted_is_one_line_and_status_1(pseudokern, tmp_path):
    halted = pseudokern("halt", "--at", str(tmp_path))
    assert halted.status == 1
    assert halted.err == [
        f"{tmp_path}: no machine is mounted; boot one with: pseudokern boot --at {tmp_path}"
    ]


def test_default_directory_needs_no_at(pseudokern, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    halted = pseudokern("halt")
    assert halted.err == ["mountpoint: no machine is mounted; boot one with: pseudokern boot"]
