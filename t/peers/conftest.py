"""The end-to-end tests' fixtures, for tests with real senders and readers."""
from __future__ import annotations

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "e2e"), str(HERE.parent / "aws")]

from typing import Iterator

import pytest

# By its path: its name is this file's too.
import importlib.util

_spec = importlib.util.spec_from_file_location("e2e_conftest", HERE.parent / "e2e" / "conftest.py")
_e2e = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_e2e)

pytest_configure = _e2e.pytest_configure
pytest_runtest_makereport = _e2e.pytest_runtest_makereport
pytest_terminal_summary = _e2e.pytest_terminal_summary
prerequisites, httpd, module_httpd, log_gate = _e2e.prerequisites, _e2e.httpd, _e2e.module_httpd, _e2e.log_gate


@pytest.fixture(scope="module")
def browser() -> Iterator[object]:
    from browser import Browser
    chromium = Browser("--ignore-certificate-errors")
    yield chromium
    chromium.close()
