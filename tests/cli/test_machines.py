"""The presets can be listed, printed, and started from."""

from pseudokern.machine.source import preset_names


def test_list_has_a_line_for_each_preset_and_the_default_first(pseudokern):
    listed = pseudokern("machines")
    names = [line.split()[0] for line in listed.out]
    assert names[0] == "laptop"
    assert names[1:] == sorted(preset_names()[1:])
    assert listed.out[0].endswith("(the default)")


def test_shown_preset_is_the_file_itself(pseudokern):
    shown = pseudokern("machines", "show", "q4")
    assert shown.status == 0
    assert shown.out[0].startswith("# ")
    assert 'name = "q4"' in shown.out


def test_unknown_preset_is_one_line_with_the_known_ones(pseudokern):
    shown = pseudokern("machines", "show", "servr-64")
    assert shown.status == 2
    assert shown.err == [
        'servr-64: no such machine; did you mean "server-64"? the presets are '
        "laptop, cloud-8, epyc-256, hybrid-16, offline-64, pc-1994, q4, server-64, "
        "wide-1024, xeon-288, and a file is named like ./mine.toml"
    ]
