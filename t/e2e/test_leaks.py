"""The search for secrets finds what it is there for; that nothing is found is checked after every other test."""
from __future__ import annotations

import json
import subprocess
from urllib.parse import quote

import pytest

import leaks
from configs import batch, connection, defaults, location, one_of_each
from httpd_server import KEY_ID, SECRET, wait_until, write_private

MADE_UP = leaks.add("/made+up=for this/file only", "the made up secret")


@pytest.mark.parametrize("text", [MADE_UP, MADE_UP[:20], quote(MADE_UP, safe=""), json.dumps({"key": MADE_UP})])
def test_a_secret_is_found_whole_cut_and_encoded(text):
    assert leaks.found_in(f"a line with {text} in it".encode()) == ["the made up secret"]
    with pytest.raises(AssertionError, match="the page holds the made up secret"):
        leaks.refuse(text.encode(), "the page")
    assert leaks.found_in(text[1:9].encode()) == []


def test_too_short_a_secret_is_refused():
    with pytest.raises(ValueError):
        leaks.add("short", "x")


@pytest.mark.parametrize("name", ["logs/other.log", "store/journal/a.seg", "run/x"])
def test_files_are_searched_across_the_pieces_they_are_read_in(tmp_path, monkeypatch, name):
    monkeypatch.setattr(leaks, "PIECE_BYTES", 100)
    path = tmp_path / name
    path.parent.mkdir(parents=True)
    for before in range(80, 105):
        path.write_bytes(b"." * before + MADE_UP.encode() + b"." * 300)
        assert leaks.found_under(tmp_path) == [f"{name} holds the made up secret"]
    path.write_bytes(b"." * 1000)
    assert leaks.found_under(tmp_path) == []


def test_what_holds_a_secret_rightly_is_not_searched(tmp_path):
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf" / "httpd.conf").write_text(MADE_UP)
    (tmp_path / "secret").write_text(MADE_UP)
    assert leaks.found_under(tmp_path) == []


def test_a_server_that_wrote_a_secret_is_found_at_its_end(aws, httpd):
    server = httpd(one_of_each(aws.url))
    assert server.leaks() == []
    log = server.root / "logs" / "error.log"
    with open(log, "a", encoding="ascii") as out:
        out.write(f"a line that says {SECRET}\n")
    assert server.leaks() == ["logs/error.log holds the secret access key of the tests"]
    log.write_text("".join(line + "\n" for line in server.log().splitlines() if SECRET not in line))


def test_keys_of_the_stand_in_are_known_as_soon_as_they_are_given_out(aws):
    aws.set_container_role("arn:aws:iam::123456789012:role/r", authorization="the token of this pod")
    assert leaks.found_in(b"Authorization: the token of this pod") == ["what the stand-in gave out"]
    aws.set_container_role("arn:aws:iam::123456789012:role/r", authorization="word")
    assert leaks.found_in(b"a word") == []


def test_a_record_is_searched_too(aws, httpd):
    server = httpd(one_of_each(aws.url))
    assert server.post("/v2/events", batch(padding=MADE_UP)).status == 202
    assert aws.wait_for(1) == 1
    with pytest.raises(AssertionError, match="a record holds the made up secret"):
        leaks.refuse(b"".join(entry.data for entry in aws.records()), "a record")
    aws.reset(["ledger"])
    server.stop()
    for segment in (server.root / "store" / "journal").glob("*"):
        segment.unlink()


@pytest.mark.parametrize("arguments,environment,announced,found", [
    (["x", MADE_UP], {}, (), ["its command line holds the made up secret"]),
    (["x"], {"A": "b", "WORD": MADE_UP}, (), ["its variable WORD holds the made up secret"]),
    (["x"], {"WORD": MADE_UP, "LIST": quote(MADE_UP, safe="")}, ("WORD",), ["its variable LIST holds the made up secret"]),
    ([MADE_UP], {"WORD": MADE_UP}, ("WORD",), ["its command line holds the made up secret"]),
    (["x"], {"WORD": "word"}, (), []),
])
def test_what_a_process_shows_is_found(arguments, environment, announced, found):
    # What a shell is given after its script are words that it does nothing with.
    with subprocess.Popen(["/bin/sh", "-c", "echo; read line", *arguments], env=environment, stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE) as program:
        program.stdout.readline()
        assert leaks.found_in_process(program.pid, announced) == found
        program.communicate(b"\n")
    assert leaks.found_in_process(program.pid) == []


@pytest.mark.parametrize("handed", ["environment", "command line"])
def test_a_server_that_shows_a_secret_is_found_also_after_its_end(aws, httpd, handed):
    options = {"environment": {"KF_TEST_WORD": MADE_UP}} if handed == "environment" else \
        {"wrapper": ["/bin/sh", "-c", '"$@" & trap "kill $!" TERM; wait; wait', MADE_UP]}
    server = httpd(one_of_each(aws.url), **options)
    if handed == "environment":
        assert server.shown() == ["httpd: its variable KF_TEST_WORD holds the made up secret"]
    else:
        assert "httpd: its command line holds the made up secret" in server.shown()
    shown = server.shown()
    server.stop()
    assert server.leaks() == shown
    server.forget_shown()


HOLDING = """#!/bin/sh
echo $$ > @ROOT@/cores/$1.new && mv @ROOT@/cores/$1.new @ROOT@/cores/$1
until test -e @ROOT@/cores/go; do sleep 0.1; done
cat @ROOT@/keys
"""


def test_programs_that_the_module_runs_are_handed_none_of_httpds_secrets(aws, httpd):
    """With every secret in httpd's environment that AWS's SDKs look for there."""
    secrets = {"AWS_SECRET_ACCESS_KEY": SECRET, "AWS_SESSION_TOKEN": MADE_UP, "OF_ANOTHER_MODULE": MADE_UP,
               "AWS_CONTAINER_AUTHORIZATION_TOKEN": MADE_UP}
    server = httpd("KinesisAlertCommand @ROOT@/program alert\n"
                   + defaults(aws.url) + connection("gone", stream="gone")
                   + connection("one", "KinesisAccessKeyId none", "KinesisSecretAccessKey none",
                                "KinesisConfigFile @ROOT@/config", "KinesisProfile mine")
                   + location("/v2/events", "gone", "one"), start=False,
                   environment={**secrets, "AWS_ACCESS_KEY_ID": KEY_ID}, secret_variables=secrets,
                   mpm_lines="ServerLimit 1\nStartServers 1\nMaxRequestWorkers 16\nMaxSpareThreads 16")
    keys = {"Version": 1, "AccessKeyId": KEY_ID, "SecretAccessKey": SECRET}
    for name, text, mode in (("config", "[profile mine]\ncredential_process = @ROOT@/program process\n", 0o600),
                             ("program", HOLDING, 0o700), ("keys", json.dumps(keys), 0o600)):
        write_private(server.root / name, text.replace("@ROOT@", str(server.root)), mode)
    server.expect("KF0306")
    server.start()
    assert server.post("/v2/events", batch()).status == 202
    told = [server.root / "cores" / name for name in ("alert", "process")]
    wait_until(lambda: all(path.exists() for path in told), "both programs to run")
    running = {int(path.read_text()) for path in told}
    assert running <= set(server.programs())
    assert server.shown() == []
    for pid in running:
        assert leaks.found_in_process(pid) == []
    for path in told:
        path.unlink()
    (server.root / "cores" / "go").touch()
    assert aws.wait_for(1) == 1
    wait_until(lambda: not running & set(server.programs()), "the programs to end")
    for path in (server.root / "cores").iterdir():
        path.unlink()
