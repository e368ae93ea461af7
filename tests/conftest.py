"""Skip, loudly, what this machine cannot run."""

import os
import shutil

import pytest
from hypothesis import settings

from pseudokern import compiled

# The same examples in every run, so that a run of the tests says something about the change in
# hand; for a search of new ones: HYPOTHESIS_PROFILE=search.
settings.register_profile("fixed", derandomize=True, database=None)
settings.register_profile("search")
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "fixed"))


def pytest_configure() -> None:
    if problem := compiled.problem():
        pytest.exit(problem, pytest.ExitCode.USAGE_ERROR)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    reasons = {"mount": _why_no_mount(), "root": "" if os.geteuid() == 0 else "needs root"}
    for item in items:
        for marker, reason in reasons.items():
            if reason and item.get_closest_marker(marker):
                item.add_marker(pytest.mark.skip(reason=reason))


def _why_no_mount() -> str:
    if not os.access("/dev/fuse", os.R_OK | os.W_OK):
        return "MOUNT TESTS DO NOT RUN: /dev/fuse is missing or not accessible"
    if not shutil.which("fusermount") and not shutil.which("fusermount3"):
        return "MOUNT TESTS DO NOT RUN: fusermount is missing: apt-get install fuse3"
    return ""
