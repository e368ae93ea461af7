"""Everything that tomllib reads is found on the line on which it stands."""

import tomllib

from hypothesis import given
from hypothesis import strategies as st

from pseudokern.machine.toml_lines import find_lines

TRICKY = '''\
title = """
[not.a.table]
key = 1 \\""" and "quotes"
"""
"quoted key" = 'it''s # no comment' # = [ { "
'''.replace("'it''s # no comment'", '"it\'s # no comment"')

values = st.sampled_from(
    [
        "1",
        '"]"',
        "'[x]'",
        '"""\nk = 1\n[t]\n"""',
        "'''\n# [[device]]\n'''",
        "[\n  1,\n  2, # ]\n]",
        "{ a = 1, b = [2] }",
        '"\\"["',
    ]
)


def test_brackets_in_strings_and_comments_are_not_tables():
    assert tomllib.loads(TRICKY).keys() == {"title", "quoted key"}
    assert find_lines(TRICKY) == {("", 0, "title"): 1, ("", 0, "quoted key"): 5}


def test_tables_of_one_name_are_counted():
    lines = find_lines("[[device]]\nname = 1\n\n[[device]] # second\n name = 2\n")
    assert lines["device", 0, "name"] == 2
    assert lines["device", 1, ""] == 4
    assert lines["device", 1, "name"] == 5


def test_dotted_key_stands_for_its_table():
    lines = find_lines("machine.cpus = 4\nmachine.hz = 100\n")
    assert lines["machine", 0, ""] == 1
    assert lines["machine", 0, "hz"] == 2


@given(st.lists(st.tuples(st.sampled_from(["#", "", "# x = [", "[[device]]"]), values), max_size=8))
def test_every_key_is_found_whatever_stands_around_it(parts):
    text, expected = "", []
    for number, (before, value) in enumerate(parts):
        text += f"{before}\nk{number} = "
        expected.append((f"k{number}", text.count("\n") + 1))
        text += f"{value} # ' \" ]\n"
    tomllib.loads(text)

    found = {key: line for (_, _, key), line in find_lines(text).items() if key}
    assert found == dict(expected)
