# SPDX-License-Identifier: Apache-2.0
"""Fixtures: the program that answers questions, and the facts about regions."""
from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent


def oracle_program() -> Path:
    return Path(os.environ.get("KF_BUILDDIR", HERE.parent.parent)) / "t" / "oracle" / "kf_oracle"


@pytest.fixture(scope="session")
def ask():
    """Asks the product all questions in one run."""
    program = oracle_program()
    if not program.exists():
        pytest.fail(f"{program} is not built: run it by make check")

    def run(questions: list[dict]) -> list[dict]:
        done = subprocess.run(
            [str(program), "serve"], input=json.dumps(questions).encode(), capture_output=True, check=True, timeout=120
        )
        answers = json.loads(done.stdout)
        assert len(answers) == len(questions)
        return answers

    return run


@pytest.fixture(scope="session")
def partitions() -> list[dict]:
    return json.loads((HERE / "regions.json").read_text(encoding="utf-8"))["partitions"]
