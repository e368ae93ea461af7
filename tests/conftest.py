"""Skip, loudly, what this machine cannot run."""

import os
import shutil

import pytest


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
