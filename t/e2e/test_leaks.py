"""The search for secrets finds what it is there for; that nothing is found is checked after every other test."""
from __future__ import annotations

import json
from urllib.parse import quote

import pytest

import leaks
from configs import batch, one_of_each
from httpd_server import SECRET

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
