"""The way to AWS: endpoints of the environment, certificates, proxies, replies that stall, trickle, redirect or never
end. Whatever is wrong on it is told with its reason, loses nothing, and is over once it has been put right."""
from __future__ import annotations

import socket
import threading
import time
from typing import Iterator

import pytest

import leaks
import ledger
from client import Answer
from configs import batch, connection, defaults, location, unique
from httpd_server import KEY_ID, Httpd, wait_until, write_private
from standin import StandIn

FAST_RETRIES = "KinesisRetryBackoff 10ms 200ms"
# What is given up on in these tests has been tried often and quickly.
REPEATED = ("KF0305", )


def bulk(request_ids: list[str]) -> bytes:
    return b"[" + b",".join(batch(name) for name in request_ids) + b"]"


def names(count: int) -> list[str]:
    return [unique() for _ in range(count)]


def post(server: Httpd, body: bytes, path: str = "/v2/events") -> Answer:
    answer = server.post(path, body)
    assert answer.status == 202, (answer.status, answer.body)
    return answer


@pytest.fixture
def feed(aws, httpd):
    """A server that feeds the stream `events` with quick retries."""
    def make(*lines: str, **options: object) -> Httpd:
        return httpd(defaults(aws.url, FAST_RETRIES) + connection("one", *lines) + location("/v2/events", "one"),
                     **options)
    return make


@pytest.fixture
def standins() -> Iterator[list[StandIn]]:
    """Stand-ins that a test starts itself; they end after the servers."""
    started: list[StandIn] = []
    yield started
    for standin in started:
        standin.stop()


@pytest.fixture
def tls_feed(standins, httpd):
    """A stand-in with https and a certificate of some kind, and a server that posts to it."""
    def make(kind: str, *lines: str, trusted: bool = True, **options: object) -> tuple[StandIn, Httpd]:
        standin = StandIn(streams={"events": 1}, tls=True, certificate=kind).start()
        standins.append(standin)
        ca = ("KinesisCAFile @ROOT@/ca.pem", ) if trusted else ()
        server = httpd(defaults(standin.tls_url, FAST_RETRIES) + connection("one", *ca, *lines)
                       + location("/v2/events", "one") + "KinesisShutdownTimeout 500ms\n", start=False, **options)
        (server.root / "ca.pem").write_bytes(standin.ca_pem)
        return standin, server.start()
    return make


# Endpoints of the environment

def without_endpoint(lines: str) -> str:
    return "".join(line + "\n" for line in lines.splitlines() if "KinesisEndpoint" not in line)


@pytest.mark.parametrize("variables, service", [(("AWS_ENDPOINT_URL_KINESIS", ), "streams"),
                                                (("AWS_ENDPOINT_URL_FIREHOSE", ), "firehose"),
                                                (("AWS_ENDPOINT_URL", ), "streams"), (("AWS_ENDPOINT_URL", ), "firehose")])
def test_an_endpoint_of_the_environment_is_used(aws, httpd, variables, service):
    stream = "events" if service == "streams" else "delivery"
    server = httpd(without_endpoint(defaults(aws.url)) + connection("one", stream=stream, service=service)
                   + location("/v2/events", "one"), environment={name: aws.url for name in variables})
    posted = names(5)
    post(server, bulk(posted))
    ledger.assert_exactly(aws, posted, stream)
    assert f"{aws.url}; KinesisEndpoint comes from the environment's {variables[0]};" in server.log()
    assert server.log().count("KF0105") == 1


def test_a_services_own_variable_comes_before_the_global_one_and_a_directive_before_both(aws, standins, httpd):
    other = StandIn(streams={"events": 1}).start()
    standins.append(other)
    wrong = "http://127.0.0.1:1"
    server = httpd(without_endpoint(defaults(aws.url)) + connection("own", f"KinesisEndpoint {other.url}")
                   + connection("service") + location("/own", "own") + location("/service", "service"),
                   environment={"AWS_ENDPOINT_URL": wrong, "AWS_ENDPOINT_URL_KINESIS": aws.url})
    to_service, to_own = names(3), names(3)
    post(server, bulk(to_service), "/service")
    post(server, bulk(to_own), "/own")
    ledger.assert_exactly(aws, to_service)
    ledger.assert_exactly(other, to_own)


# Endpoints of a profile

WRONG = "http://127.0.0.1:1"
SERVICES = """\
[default]
services = all
[profile mine]
endpoint_url = {other}
services = all
[profile plain]
endpoint_url = {url}
[profile deaf]
endpoint_url = {url}
ignore_configured_endpoint_urls = true
[services all]
kinesis =
  endpoint_url = {url}
firehose =
  endpoint_url = {url}/
sts =
  endpoint_url = {url}
"""


@pytest.fixture
def profiled(httpd):
    """A server without an endpoint of its own whose children's user has this configuration file."""
    def make(text: str, *lines: str, environment: dict[str, str] | None = None, service: str = "streams",
             start: bool = True, more: str = "") -> Httpd:
        stream = "events" if service == "streams" else "delivery"
        server = httpd(without_endpoint(defaults("", FAST_RETRIES)) + more
                       + connection("one", *lines, stream=stream, service=service) + location("/v2/events", "one"),
                       start=False, environment=environment)
        server._environment = {name: value.replace("@ROOT@", str(server.root))
                               for name, value in server._environment.items()}
        write_private(server.root / "config", text)
        return server.start() if start else server
    return make


OF_FILE = {"AWS_CONFIG_FILE": "@ROOT@/config"}


@pytest.mark.parametrize("service, stream", [("streams", "events"), ("firehose", "delivery")])
@pytest.mark.parametrize("lines, environment, profile", [
    ((), OF_FILE, "default"), ((), {**OF_FILE, "AWS_PROFILE": "mine"}, "mine"),
    ((), {**OF_FILE, "AWS_PROFILE": "plain"}, "plain"), (("KinesisProfile plain", ), OF_FILE, "plain"),
    (("KinesisConfigFile @ROOT@/config", "KinesisProfile mine"), {"AWS_PROFILE": "plain"}, "mine")])
def test_an_endpoint_of_a_profile_is_used(aws, profiled, service, stream, lines, environment, profile):
    server = profiled(SERVICES.format(url=aws.url, other=WRONG), *lines, environment=environment, service=service)
    server.allow("KF0102")
    posted = names(3)
    post(server, bulk(posted))
    ledger.assert_exactly(aws, posted, stream)
    assert f'KinesisEndpoint comes from profile "{profile}" of the shared AWS files;' in server.log()
    assert server.log().count("KF0105") == 1


@pytest.mark.parametrize("environment, line", [({"AWS_ENDPOINT_URL": "@AWS@"}, ""), ({}, "KinesisEndpoint @AWS@")])
def test_directives_and_variables_come_before_a_profile(aws, profiled, environment, line):
    environment = {name: value.replace("@AWS@", aws.url) for name, value in environment.items()}
    server = profiled(SERVICES.format(url=WRONG, other=WRONG), line.replace("@AWS@", aws.url),
                      environment={**OF_FILE, **environment})
    posted = names(3)
    post(server, bulk(posted))
    ledger.assert_exactly(aws, posted)


@pytest.mark.parametrize("environment, line", [({"AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true"}, ""),
                                               ({}, "KinesisEndpoint none"), ({"AWS_PROFILE": "deaf"}, ""),
                                               ({"AWS_PROFILE": "unheard-of"}, "")])
def test_an_endpoint_of_a_profile_can_be_ignored(profiled, environment, line):
    test = profiled(SERVICES.format(url=WRONG, other=WRONG), line, environment={**OF_FILE, **environment},
                    start=False).configtest()
    assert test.returncode == 0 and "KF0105" not in test.stdout, test.stdout


@pytest.mark.parametrize("text, said", [
    ("[default]\nendpoint_url = http://10.0.0.1:4566\n", 'comes from profile "default" of the shared AWS files'),
    ("[default]\nservices = x\n[services x]\nkinesis =\n  endpoint_url = https://me:hidden@10.0.0.1\n",
     'comes from profile "default" of the shared AWS files'),
    ("[default]\naccount_id_endpoint_mode = sometimes\n", "must be preferred, disabled or required"),
    ("[default]\naccount_id_endpoint_mode = required\n", "must be with KinesisStreamArn")])
def test_a_wrong_endpoint_of_a_profile_is_told_and_ends_no_running_server(aws, profiled, text, said):
    server = profiled(text, environment=OF_FILE, start=False)
    test = server.configtest()
    assert test.returncode != 0 and "KF0104" in test.stdout and said in test.stdout
    assert "hidden" not in test.stdout
    (server.root / "config").write_text(f"[default]\nendpoint_url = {aws.url}\n")
    server.start()
    (server.root / "config").write_text(text)
    server.expect("KF0103")
    server.graceful()
    wait_until(lambda: server.post("/v2/events", batch()).status == 503, "the connection to be unusable")
    assert said in server.log()
    (server.root / "config").write_text(f"[default]\nendpoint_url = {aws.url}\n")
    server.graceful()
    wait_until(lambda: server.post("/v2/events", batch()).status == 202, "the connection to be usable")


def test_a_file_that_cannot_be_read_is_told(aws, profiled):
    server = profiled("[default\n", f"KinesisEndpoint {aws.url}", environment=OF_FILE, start=False)
    test = server.configtest()
    assert test.returncode == 0 and "KF0105" in test.stdout and "line 1 is no section" in test.stdout


def test_sts_is_asked_at_the_endpoint_of_the_profile(aws, profiled):
    role = "arn:aws:iam::123456789012:role/sender"
    aws.add_role(role)
    server = profiled(SERVICES.format(url=aws.url, other=WRONG), f"KinesisRoleArn {role}", environment=OF_FILE)
    posted = names(3)
    post(server, bulk(posted))
    ledger.assert_exactly(aws, posted)
    assert aws.calls("AssumeRole")


def test_the_endpoint_of_an_arns_account_can_be_switched_off(httpd):
    class Seen(threading.Thread):
        """A proxy that is asked for one tunnel, and remembers to where."""
        def __init__(self) -> None:
            super().__init__(daemon=True)
            self.socket = socket.create_server(("127.0.0.1", 0))
            self.hosts: list[str] = []

        def run(self) -> None:
            while True:
                try:
                    with self.socket.accept()[0] as asked:
                        self.hosts.append(asked.recv(4096).split()[1].decode())
                        asked.sendall(b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n")
                except OSError:
                    return

    arn = "arn:aws:kinesis:us-east-1:123456789012:stream/events"
    for mode, host in (("", "123456789012.data-kinesis"), ("disabled", "kinesis")):
        proxy = Seen()
        proxy.start()
        server = httpd(without_endpoint(defaults("", FAST_RETRIES)) + "<KinesisConnection one>\n"
                       f"KinesisStreamArn {arn}\nKinesisProxy http://127.0.0.1:{proxy.socket.getsockname()[1]}\n"
                       "</KinesisConnection>\n" + location("/v2/events", "one") + "KinesisShutdownTimeout 500ms\n",
                       environment={"AWS_ACCOUNT_ID_ENDPOINT_MODE": mode})
        server.expect("KF0405")
        server.allow(*REPEATED)
        post(server, batch())
        wait_until(lambda: proxy.hosts, "a call")
        server.stop()
        proxy.socket.close()
        assert set(proxy.hosts) == {f"{host}.us-east-1.amazonaws.com:443"}


@pytest.mark.parametrize("environment, line, said", [
    ({"AWS_ENDPOINT_URL": "http://10.0.0.1:4566"}, "", "AWS_ENDPOINT_URL"),
    ({"AWS_ENDPOINT_URL_KINESIS": "https://me:hidden@10.0.0.1"}, "", "AWS_ENDPOINT_URL_KINESIS"),
    ({"AWS_ENDPOINT_URL": "https://e.invalid", "AWS_USE_FIPS_ENDPOINT": "true"}, "", "AWS_USE_FIPS_ENDPOINT"),
    ({"AWS_USE_DUALSTACK_ENDPOINT": "true"}, "KinesisEndpoint https://e.invalid", "AWS_USE_DUALSTACK_ENDPOINT")])
def test_a_wrong_endpoint_of_the_environment_is_told_by_its_name(httpd, environment, line, said):
    server = httpd(without_endpoint(defaults("")) + connection("one", line) + location("/v2/events", "one"),
                   start=False, environment=environment)
    test = server.configtest()
    assert test.returncode != 0 and "KF0104" in test.stdout
    assert f"comes from the environment's {said}" in test.stdout
    assert "hidden" not in test.stdout


@pytest.mark.parametrize("line, said", [("KinesisEndpoint none", None), ("KinesisUseFIPS Off", None),
                                        ("", "the region's own; KinesisUseFIPS comes from the environment's")])
def test_what_a_directive_says_is_not_asked_of_the_environment(httpd, line, said):
    variables = {"AWS_USE_FIPS_ENDPOINT": "true"}
    if "Endpoint" in line:
        variables = {"AWS_ENDPOINT_URL": "not even an address"}
    server = httpd(without_endpoint(defaults("")) + connection("one", line) + location("/v2/events", "one"),
                   start=False, environment=variables)
    test = server.configtest()
    assert test.returncode == 0, test.stdout
    assert (said or "KF0105") in test.stdout if said else "KF0105" not in test.stdout


# Certificates

def test_https_with_a_certificate_of_a_trusted_authority_is_used(tls_feed):
    aws, server = tls_feed("good")
    posted = names(20)
    post(server, bulk(posted))
    ledger.assert_exactly(aws, posted)


CERTIFICATES = [("wrong-name", "no alternative certificate subject name matches"), ("expired", "certificate has expired"),
                ("self-signed", "self-signed certificate"), ("tls-1.1", "SSL_connect")]


@pytest.mark.parametrize("kind, said", CERTIFICATES)
def test_a_bad_certificate_is_told_loses_nothing_and_is_over_when_put_right(tls_feed, kind, said):
    aws, server = tls_feed(kind)
    server.expect("KF0405")
    server.allow(*REPEATED)
    posted = names(20)
    post(server, bulk(posted))
    server.wait_log("KF0405")
    assert said in next(line for line in server.log().splitlines() if "KF0405" in line)
    assert not aws.calls(), "a request went out although the certificate is wrong"
    aws.set_certificate("good")
    ledger.assert_exactly(aws, posted)


def test_a_certificate_that_goes_bad_while_running(tls_feed):
    aws, server = tls_feed("good")
    server.expect("KF0405")
    server.allow(*REPEATED)
    before, after = names(5), names(5)
    post(server, bulk(before))
    ledger.wait_ids(aws, before)
    wait_until(lambda: {entry.answer for entry in aws.records()} == {"delivered"}, "the answers")
    aws.set_certificate("expired")
    post(server, bulk(after))
    server.wait_log("certificate has expired")
    assert aws.total() == len(before)
    aws.set_certificate("good")
    ledger.assert_exactly(aws, before + after)


def test_an_authority_that_is_not_trusted_is_refused_and_what_was_accepted_stays_in_the_store(tls_feed):
    aws, server = tls_feed("good", trusted=False)
    server.expect("KF0405")
    server.allow(*REPEATED)
    post(server, batch())
    server.wait_log("unable to get local issuer certificate")
    assert not aws.calls(), "a request went out although the certificate is wrong"
    server.stop()
    assert list((server.root / "store" / "journal").glob("*.seg")), "what was accepted is not in the store"


# Reaching AWS

def test_aws_out_of_reach_is_waited_for(aws, feed):
    aws.stop_accepting(drop=True)
    server = feed()
    server.expect("KF0405")
    # Ten attempts are soon over where nobody listens, and posting takes its time on a busy machine.
    server.allow("KF0305")
    posted = names(20)
    for name in posted:
        post(server, batch(name))
    server.wait_log("KF0405")
    aws.resume_accepting()
    ledger.assert_exactly(aws, posted)


def test_a_redirect_is_not_followed_and_what_it_answers_is_sent_again(aws, standins, feed):
    other = StandIn(streams={"events": 1}).start()
    standins.append(other)
    rule = aws.add_fault("redirect", location=other.url + "/", match={"operation": "PutRecords"})
    server = feed()
    server.allow("KF0306", "KF0405", *REPEATED)
    posted = names(10)
    post(server, bulk(posted))
    server.wait_log("307")
    aws.remove_fault(rule)
    ledger.assert_exactly(aws, posted)
    assert not other.calls()


@pytest.mark.parametrize("fault", [{"type": "endless"}, {"type": "oversized", "bytes": 4_000_000}])
def test_a_reply_without_end_is_given_up_on(aws, feed, fault):
    aws.add_fault(**fault, match={"operation": "PutRecords"}, count=2)
    server = feed()
    server.expect("KF0405")
    posted = names(10)
    post(server, bulk(posted))
    server.wait_log("the reply is too long")
    ledger.wait_ids(aws, posted)


@pytest.mark.soak
@pytest.mark.parametrize("fault, said", [
    ({"type": "hang"}, "no byte moved for too long"),
    ({"type": "endless", "piece": 1, "between_ms": 1000}, "timed out")])
def test_a_server_that_stalls_or_trickles_is_given_up_on(aws, feed, fault, said):
    aws.add_fault(**fault, match={"operation": "PutRecords"}, count=1)
    server = feed()
    server.expect("KF0405")
    posted = names(10)
    started = time.monotonic()
    post(server, bulk(posted))
    wait_until(lambda: said in server.log(), said, 90)
    assert time.monotonic() - started < 80
    ledger.assert_exactly(aws, posted)


# Proxies

class ConnectProxy:
    """An HTTP proxy that knows CONNECT only, and remembers where it was asked to go and as whom. `refusal` is what it
    answers in place of a connection."""

    def __init__(self) -> None:
        self.requests: list[bytes] = []
        self.refusal: bytes | None = None
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client, ), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        head = b""
        while b"\r\n\r\n" not in head:
            piece = client.recv(65536)
            if not piece:
                return
            head += piece
        self.requests.append(head)
        if self.refusal is not None:
            client.sendall(self.refusal)
            client.close()
            return
        host, _, port = head.split(b" ")[1].decode().rpartition(":")
        server = socket.create_connection((host, int(port)))
        client.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        threading.Thread(target=_copy, args=(server, client), daemon=True).start()
        _copy(client, server)


def _copy(source: socket.socket, target: socket.socket) -> None:
    try:
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        pass


@pytest.fixture
def proxy() -> Iterator[ConnectProxy]:
    made = ConnectProxy()
    yield made
    made.close()


def test_a_proxy_is_used_where_one_is_set(tls_feed, proxy):
    aws, server = tls_feed("good", f"KinesisProxy http://user:word@127.0.0.1:{proxy.port}")
    posted = names(5)
    post(server, bulk(posted))
    ledger.assert_exactly(aws, posted)
    assert proxy.requests and all(head.startswith(b"CONNECT 127.0.0.1:") for head in proxy.requests)
    assert all(b"Proxy-Authorization: Basic dXNlcjp3b3Jk" in head for head in proxy.requests)
    assert not any(KEY_ID.encode() in head or b"x-amz" in head.lower() for head in proxy.requests)


def test_certificates_are_verified_through_a_proxy_too(tls_feed, proxy):
    aws, server = tls_feed("wrong-name", f"KinesisProxy http://127.0.0.1:{proxy.port}")
    server.expect("KF0405")
    server.allow(*REPEATED)
    posted = names(5)
    post(server, bulk(posted))
    server.wait_log("subject name")
    assert proxy.requests and not aws.calls()
    aws.set_certificate("good")
    ledger.assert_exactly(aws, posted)


@pytest.mark.parametrize("status", [b"407 Proxy Authentication Required", b"403 Forbidden", b"502 Bad Gateway"])
def test_a_proxy_that_refuses_is_told_without_its_password(tls_feed, proxy, status):
    proxy.refusal = b"HTTP/1.1 " + status + b"\r\nContent-Length: 0\r\n\r\n"
    aws, server = tls_feed("good", f"KinesisProxy http://user:hiddenword@127.0.0.1:{proxy.port}")
    server.expect("KF0405")
    server.allow(*REPEATED)
    posted = names(5)
    post(server, bulk(posted))
    leaks.add("hiddenword", "the proxy's password")
    server.wait_log(f"the proxy answered {status[:3].decode()} to CONNECT")
    assert not aws.calls()
    proxy.refusal = None
    ledger.assert_exactly(aws, posted)


@pytest.mark.parametrize("variable", ["HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY"])
def test_proxies_of_the_environment_are_not_used(tls_feed, proxy, variable):
    aws, server = tls_feed("good", environment={variable: f"http://127.0.0.1:{proxy.port}"})
    posted = names(5)
    post(server, bulk(posted))
    ledger.assert_exactly(aws, posted)
    assert not proxy.requests


def test_no_proxy_does_not_keep_calls_from_the_proxy_that_is_set(tls_feed, proxy):
    aws, server = tls_feed("good", f"KinesisProxy http://127.0.0.1:{proxy.port}",
                           environment={"NO_PROXY": "*", "no_proxy": "127.0.0.1"})
    posted = names(5)
    post(server, bulk(posted))
    ledger.assert_exactly(aws, posted)
    assert proxy.requests
