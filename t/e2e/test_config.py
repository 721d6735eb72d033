"""What `apachectl configtest` takes and refuses, what its errors name, how settings merge, and what is kept secret."""
from __future__ import annotations

import os
import re

import pytest

import configs
import ledger
from configs import batch, connection, defaults, location, unique
from httpd_server import KEY_ID, SECRET, wait_until, write_private

ARN = "arn:aws:kinesis:us-east-1:123456789012:stream/events"
BARE = f"KinesisAccessKeyId {KEY_ID}\nKinesisSecretAccessKey file:@ROOT@/secret\n"

# Lines that are right where they stand: in the main server, in the connection `one`, in its location.
GOOD_MAIN = [
    "KinesisStoreLimit 16M", "KinesisStoreLimit 1048576G", "KinesisStoreLimit 16777216", "KinesisDurability disk",
    "KinesisDurability process", "KinesisDurability MEMORY", "KinesisWorkers 1", "KinesisWorkers 64",
    "KinesisQueueSize 16", "KinesisQueueSize 1048576", "KinesisQueueBytes 8M", "KinesisQueueBytes 16G",
    "KinesisAlertCommand /bin/true", 'KinesisAlertCommand /bin/echo "an argument" none', "KinesisAlertCommand none",
    "KinesisShutdownTimeout 1ms", "KinesisShutdownTimeout 8s", "KinesisRegion eu-central-1\nKinesisSendAsBatch off",
]
GOOD_CONNECTION = [
    "KinesisService streams", "KinesisService Firehose", "KinesisRegion us-gov-west-1", "KinesisRegion cn-north-1",
    "KinesisUniqueId com.example.game", 'KinesisUniqueId "ümlaut and blanks"', "KinesisUniqueId none",
    "KinesisSendCustomEvents ON", "KinesisEndpoint https://kinesis.example.net",
    "KinesisEndpoint http://localhost:1234",
    "KinesisEndpoint http://127.255.1.2:80/", "KinesisEndpoint http://[::1]:80", "KinesisEndpoint none",
    "KinesisAllowInsecureEndpoint On\nKinesisEndpoint http://192.0.2.1:80", "KinesisUseFIPS On",
    "KinesisUseDualStack On", "KinesisSessionToken abc/def+ghi==",
    "KinesisAccessKeyId none\nKinesisSecretAccessKey none",
    "KinesisSecretAccessKey env:KF_TEST_SECRET", "KinesisProfile batch", "KinesisCredentialsFile @ROOT@/private",
    "KinesisConfigFile @ROOT@/readable", "KinesisCAFile @ROOT@/readable",
    "KinesisRoleArn arn:aws:iam::123456789012:role/path/sender", "KinesisExternalId orgid:42",
    "KinesisRoleSessionName httpd@host", "KinesisProxy http://proxy.example:3128", "KinesisProxy none",
    "KinesisPutMode single", "KinesisPartitionKey mpid", "KinesisPartitionKey source_request_id",
    "KinesisRecordFormat received", "KinesisRecordDelimiter newline", "KinesisLinger 0", "KinesisLinger 60s",
    "KinesisLinger 1mi", "KinesisMaxInFlight 1", "KinesisMaxInFlight 256", "KinesisBatchWindow 24h",
    "KinesisSessionTimeout 1", "KinesisSessionTimeout 168h", "KinesisSessionGrace 0", "KinesisSessionGrace 60min",
    "KinesisRetryLimit 1", "KinesisRetryLimit 1000000", "KinesisRetryMaxAge 1000ms", "KinesisRetryMaxAge 8760h",
    "KinesisRetryBackoff 1ms 1h", "KinesisRetryBackoff 20s 20s", "KinesisJoinRecords Off",
    "KinesisExcludeFields ip device_info.device context.location", "KinesisExcludeFields none",
    "KinesisExcludeIdentities customer_id ios_idfv other_id_10", "KinesisExcludeIdentities none",
    "KinesisStoreShare 1", "KinesisStoreShare 100",
]
GOOD_LOCATION = [
    "KinesisMaxBodySize 1", "KinesisMaxBodySize 1G", "KinesisMaxBodySize 256k", "KinesisInvalidBatch discard",
    "KinesisAllowOrigin *", "KinesisAllowOrigin https://a.example http://b.example:8080", "KinesisAllowOrigin none",
]

# Lines that are wrong where they stand, and what the error must name besides directive, file and line.
BAD_MAIN = [
    ("KinesisStoreLimit 15M", "15M", "16M"), ("KinesisStoreLimit 1048577G", "1048577G", "1048576G"),
    ("KinesisStoreLimit -1G", "-1G"), ("KinesisStoreLimit 20MB", "20MB"), ("KinesisStoreLimit 99999999999999999999", ),
    ("KinesisDurability always", "always", "disk", "process", "memory"), ("KinesisWorkers 0", "64"),
    ("KinesisWorkers 65", "65", "64"), ("KinesisWorkers +2", "+2"), ("KinesisQueueSize 15", "15", "16"),
    ("KinesisQueueSize 1048577", "1048576"), ("KinesisQueueBytes 7M", "7M", "8M"), ("KinesisQueueBytes 17G", "16G"),
    ("KinesisShutdownTimeout 0", "8s"), ("KinesisShutdownTimeout 8001ms", "8001ms", "8s"),
    ("KinesisShutdownTimeout 1us", "1us"), ('KinesisStoreDirectory ""', ), ("KinesisStreamName events", ),
    (f"KinesisStreamArn {ARN}", ), ("KinesisService kafka", "kafka", "streams", "firehose"),
    ("KinesisRegion none", ),
]
BAD_CONNECTION = [
    ("KinesisService kafka", "kafka", "streams", "firehose"), ("KinesisSendAsBatch maybe", "maybe", "On", "Off"),
    ("KinesisIncludeMetadata 1", "1", "On", "Off"), ("KinesisRegion mars-1", "mars-1"),
    ("KinesisRegion US-EAST-1", "US-EAST-1"), ("KinesisRegion us-east-1/x", "us-east-1/x"), ("KinesisRegion none", ),
    ("KinesisStreamName none/such", "none/such"), (f"KinesisStreamName {'n' * 129}", "128"),
    ('KinesisStreamName ""', ), ("KinesisAccessKeyId two;words", ),
    ("KinesisEndpoint ftp://127.0.0.1", "ftp://127.0.0.1"), ("KinesisEndpoint http://192.0.2.1:80", "192.0.2.1"),
    ("KinesisEndpoint http://127.0.0.1.example.com", "127.0.0.1.example.com"),
    ("KinesisEndpoint http://localhost.example.com", "localhost.example.com"),
    ("KinesisEndpoint https://h.example/path", "h.example/path"), ("KinesisEndpoint https://h.example?x", ),
    ("KinesisEndpoint https://h.example:65536", "65536"),
    ("KinesisRoleArn arn:aws:iam::1234:role/x", "arn:aws:iam::1234:role/x"), ("KinesisExternalId x", ),
    ('KinesisRoleSessionName "a b"', "a b"), ("KinesisProxy socks5://p:1", "socks5://p:1"),
    ("KinesisProxy http://p", "http://p"), ("KinesisPutMode many", "many", "auto", "batch", "single"),
    ('KinesisPartitionKey ""', ), ("KinesisRecordFormat raw", "raw", "outbound", "received"),
    ("KinesisRecordDelimiter crlf", "crlf", "none", "newline"), ("KinesisLinger 60001ms", "60001ms"),
    ("KinesisLinger -1s", "-1s"), ("KinesisLinger +1s", "+1s"), ("KinesisLinger 1.5s", "1.5s"),
    ("KinesisLinger 5x", "5x"), ("KinesisLinger 5m", "5m"), ("KinesisLinger 5 s", ), ("KinesisLinger none", ),
    ("KinesisMaxInFlight 0", "256"), ("KinesisMaxInFlight 257", "257", "256"), ("KinesisMaxInFlight 1.5", "1.5"),
    ("KinesisBatchWindow 25h", "25h", "24h"), ("KinesisSessionTimeout 0", "168h"),
    ("KinesisSessionTimeout 169h", "169h", "168h"), ("KinesisSessionGrace 61min", "61min", "1h"),
    ("KinesisRetryLimit 0", "1000000"), ("KinesisRetryLimit 1000001", "1000000"),
    ("KinesisRetryMaxAge 0", "8760h"), ("KinesisRetryMaxAge 999ms", "999ms"), ("KinesisRetryMaxAge 8761h", "8760h"),
    ("KinesisRetryBackoff 50ms", ), ("KinesisRetryBackoff 2s 1s", "2s", "1s"), ("KinesisRetryBackoff 0 1s", ),
    ("KinesisRetryBackoff 1ms 61min", "61min"), ("KinesisRetryBackoff 1s 2s 3s", ),
    ("KinesisExcludeFields events", "events"), ("KinesisExcludeFields ip events.data", "events.data"),
    ("KinesisExcludeFields a..b", "a..b"), ("KinesisExcludeFields .a", ".a"), ("KinesisExcludeFields", ),
    ("KinesisExcludeFields none ip", ), ("KinesisExcludeIdentities shoe_size", "shoe_size"),
    ("KinesisExcludeIdentities email shoe_size", "shoe_size"), ("KinesisExcludeIdentities none email", ),
    ("KinesisStoreShare 0", "100"), ("KinesisStoreShare 101", "101", "100"), ("KinesisStoreShare +50", "+50"),
    ("KinesisStoreShare 50%", "50%"), ("KinesisStoreLimit 1G", ), ("KinesisForward one", ),
    ("KinesisMaxBodySize 1M", ), ("KinesisNoSuchThing 1", ), ("Timeout 5", ), ("Options None", ),
    ("SetHandler server-info", ), ("Require all granted", ),
    ("KinesisCAFile relative.pem", "relative.pem"), ("KinesisCAFile @ROOT@/missing", "missing"),
    ("KinesisCredentialsFile @ROOT@/missing", "missing"), ("KinesisConfigFile @ROOT@/missing", "missing"),
    ("KinesisCAFile @ROOT@", "@ROOT@"),
    ("KinesisSecretAccessKey file:@ROOT@/missing", "missing"), ("KinesisSecretAccessKey file:@ROOT@", ),
    ("KinesisSecretAccessKey file:secret", ), ("KinesisSecretAccessKey env:KF_TEST_UNSET", "KF_TEST_UNSET"),
    ("KinesisSecretAccessKey env:", ), ("KinesisSessionToken file:@ROOT@/missing", "missing"),
]
BAD_LOCATION = [
    ("KinesisMaxBodySize 0", "1G"), ("KinesisMaxBodySize 2G", "2G", "1G"), ("KinesisMaxBodySize -1", "-1"),
    ("KinesisMaxBodySize 1T", "1T"), ("KinesisInvalidBatch drop", "drop", "reject", "discard"),
    ("KinesisAllowOrigin * https://a.example", ), ("KinesisAllowOrigin https://a.example/path", "a.example/path"),
    ("KinesisAllowOrigin a.example", "a.example"), ("KinesisForward one one", "one"), ("KinesisForward two", "two"),
    ("KinesisForward o/ne", "o/ne"), ("KinesisForward none one", ), ("KinesisStoreLimit 1G", ), ("KinesisWorkers 2", ),
    ("KinesisStreamName events", ), ("KinesisLinger 1s", ), ("KinesisService streams", ),
]


def whole(main: str = "", inside: str = "", feeding: str = "", url: str = "http://127.0.0.1:9") -> str:
    """A right configuration but for what is put into one of the three places."""
    head = BARE if "KinesisEndpoint" in inside or "FIPS" in inside or "DualStack" in inside else defaults(url)
    stream = [] if "KinesisStreamName" in inside else ["KinesisStreamName events"]
    parts = [head, configs.section("KinesisConnection", "one", [*stream, *inside.splitlines()]),
             location("/v2/events", "one", lines=tuple(feeding.splitlines()))]
    return "".join(parts) + main + "\n"


@pytest.fixture
def check(httpd):
    """Makes the server of a configuration, not started, and says how its configtest ended."""
    def make(config: str, **options):
        environment = {"KF_TEST_SECRET": SECRET}
        server = httpd(config, start=False, environment=environment, **options)
        readable = server.root / "readable"
        readable.write_text("")
        readable.chmod(0o644)
        write_private(server.root / "private", "[default]\naws_access_key_id=A\naws_secret_access_key=b\n")
        return server, server.configtest()
    return make


def assert_refused(server, result, *named: str, line: str | None = None, connection_name: str | None = None) -> None:
    """The error names what is asked for, the file, and the line of `line` or of the connection's section."""
    output = result.stdout
    assert result.returncode != 0, f"the configuration was taken:\n{output}"
    for text in named:
        assert text.replace("@ROOT@", str(server.root)) in output, f"{text!r} is not named in:\n{output}"
    assert str(server.config_file) in output, f"the file is not named in:\n{output}"
    if line is not None:
        numbers = server.lines_of(line)
        if connection_name:
            numbers |= server.lines_of(f"<KinesisConnection {connection_name}>")
        assert numbers & set(map(int, re.findall(r"\b\d+\b", output))), f"no line of {sorted(numbers)} in:\n{output}"
    if connection_name:
        assert re.search(rf"\b{connection_name}\b", output), f"the connection is not named in:\n{output}"
    assert SECRET not in output


def assert_taken(result) -> None:
    assert result.returncode == 0 and "Syntax OK" in result.stdout, result.stdout


@pytest.mark.parametrize("line", GOOD_MAIN)
def test_right_line_of_the_main_server_is_taken(check, line):
    assert_taken(check(whole(main=line))[1])


@pytest.mark.parametrize("line", GOOD_CONNECTION)
def test_right_line_of_a_connection_is_taken(check, line):
    assert_taken(check(whole(inside=line))[1])


@pytest.mark.parametrize("line", GOOD_LOCATION)
def test_right_line_of_a_location_is_taken(check, line):
    assert_taken(check(whole(feeding=line))[1])


@pytest.mark.parametrize("line, named", [(row[0], row[1:]) for row in BAD_MAIN])
def test_wrong_line_of_the_main_server_is_refused_by_name(check, line, named):
    server, result = check(whole(main=line))
    assert_refused(server, result, line.split()[0], *named)


@pytest.mark.parametrize("line, named", [(row[0], row[1:]) for row in BAD_CONNECTION])
def test_wrong_line_of_a_connection_is_refused_with_connection_file_and_line(check, line, named):
    server, result = check(whole(inside=line))
    shown = line.replace("@ROOT@", str(server.root))
    assert_refused(server, result, line.split()[0], *named, line=shown, connection_name="one")


@pytest.mark.parametrize("line, named", [(row[0], row[1:]) for row in BAD_LOCATION])
def test_wrong_line_of_a_location_is_refused_by_name(check, line, named):
    feeding = whole(feeding=line) if not line.startswith("KinesisForward") else \
        whole().replace("KinesisForward one", line)
    server, result = check(feeding)
    assert_refused(server, result, line.split()[0], *named, line=line)


# What belongs together

def conn(*lines: str, name: str = "one") -> str:
    return configs.section("KinesisConnection", name, list(lines))


TOGETHER_BAD = {
    "neither stream name nor ARN": (conn("KinesisService streams"), ["KinesisStreamName", "KinesisStreamArn"]),
    "both stream name and ARN": (conn("KinesisStreamName events", f"KinesisStreamArn {ARN}"), ["KinesisStreamArn"]),
    "an ARN with firehose": (conn("KinesisService firehose", f"KinesisStreamArn {ARN}"),
                             ["KinesisStreamArn", "Firehose"]),
    "an ARN of a delivery stream": (conn("KinesisStreamArn arn:aws:firehose:us-east-1:123456789012:deliverystream/e"),
                                    ["KinesisStreamArn"]),
    "an ARN of another region": (conn(f"KinesisStreamArn {ARN}", "KinesisRegion eu-west-1"),
                                 ["KinesisStreamArn", "KinesisRegion", "eu-west-1"]),
    "an ARN of another partition": (conn(f"KinesisStreamArn {ARN.replace('aws:', 'aws-cn:', 1)}"),
                                    ["KinesisStreamArn"]),
    "an ARN with a short account": (conn("KinesisStreamArn arn:aws:kinesis:us-east-1:123:stream/e"),
                                    ["KinesisStreamArn"]),
    "a Firehose stream name of 65": (conn("KinesisService firehose", f"KinesisStreamName {'n' * 65}"),
                                     ["KinesisStreamName", "64"]),
    "a key id without a secret": (conn("KinesisStreamName events", "KinesisSecretAccessKey none"),
                                  ["KinesisAccessKeyId", "KinesisSecretAccessKey"]),
    "a secret without a key id": (conn("KinesisStreamName events", "KinesisAccessKeyId none"),
                                  ["KinesisAccessKeyId", "KinesisSecretAccessKey"]),
}


@pytest.mark.parametrize("case", TOGETHER_BAD)
def test_what_does_not_belong_together_is_refused_with_connection_file_and_line(check, case):
    config, named = TOGETHER_BAD[case]
    server, result = check(BARE + config)
    number, = server.lines_of("<KinesisConnection one>")
    assert_refused(server, result, *named, connection_name="one")
    inside = range(number, number + config.count("\n"))
    assert set(inside) & set(map(int, re.findall(r"\b\d+\b", result.stdout))), result.stdout


@pytest.mark.parametrize("lines", [
    (f"KinesisStreamArn {ARN}", ), ("KinesisService firehose", f"KinesisStreamName {'n' * 64}"),
    (f"KinesisStreamName {'n' * 128}", ),
    ("KinesisRegion eu-west-1", f"KinesisStreamArn {ARN.replace('us-east-1', 'eu-west-1')}"),
    ("KinesisRegion cn-north-1", "KinesisStreamArn arn:aws-cn:kinesis:cn-north-1:123456789012:stream/events")])
def test_what_belongs_together_is_taken(check, lines):
    assert_taken(check(BARE + conn(*lines))[1])


# Sections

GOOD_STREAM = "KinesisStreamName events"
SECTIONS_BAD = {
    "no name": ("<KinesisConnection>\nKinesisStreamName events\n</KinesisConnection>\n", ["KinesisConnection"]),
    "a bad name": (conn(GOOD_STREAM, name="o/ne"), ["KinesisConnection", "o/ne"]),
    "a name of 65": (conn(GOOD_STREAM, name="n" * 65), ["KinesisConnection", "64"]),
    "two names": (conn(GOOD_STREAM, name="one two"), ["KinesisConnection"]),
    "a name twice": (conn(GOOD_STREAM) + conn(GOOD_STREAM), ["one"]),
    "one in a virtual host": (f"<VirtualHost *:@PORT@>\n{conn(GOOD_STREAM)}</VirtualHost>\n", ["KinesisConnection"]),
    "one in a location": (f"<Location /x>\n{conn(GOOD_STREAM)}</Location>\n", ["KinesisConnection"]),
    "one in another": (conn(GOOD_STREAM, "<KinesisConnection two>", GOOD_STREAM, "</KinesisConnection>"),
                       ["KinesisConnection"]),
    "a location in one": (conn(GOOD_STREAM, "<Location /x>", "</Location>"), ["Location"]),
    "an end that is missing": (f"<KinesisConnection one>\n{GOOD_STREAM}\n", ["KinesisConnection"]),
    "a process directive in a virtual host": ("<VirtualHost *:@PORT@>\nKinesisWorkers 2\n</VirtualHost>\n",
                                              ["KinesisWorkers"]),
    "a connection directive in a virtual host": ("<VirtualHost *:@PORT@>\nKinesisLinger 1s\n</VirtualHost>\n",
                                                 ["KinesisLinger"]),
    "an unknown connection in a virtual host": (
        f"<VirtualHost *:@PORT@>\n{location('/x', 'nobody')}</VirtualHost>\n", ["KinesisForward", "nobody"]),
}


@pytest.mark.parametrize("case", SECTIONS_BAD)
def test_wrong_section_is_refused(check, case):
    config, named = SECTIONS_BAD[case]
    server, result = check(BARE + config)
    assert_refused(server, result, *named)


def test_names_of_64_and_all_allowed_characters_are_taken(check):
    name = "aZ09._-" + "n" * 57
    assert_taken(check(BARE + conn(GOOD_STREAM, name=name) + location("/x", name))[1])


def test_a_location_may_name_a_connection_that_stands_further_down(check):
    assert_taken(check(BARE + location("/x", "one") + conn(GOOD_STREAM))[1])


def test_several_mistakes_do_not_hide_the_first(check):
    server, result = check(BARE + conn("KinesisLinger 5x", "KinesisMaxInFlight 0"))
    assert_refused(server, result, "KinesisLinger", "5x", line="KinesisLinger 5x", connection_name="one")


@pytest.mark.skipif(os.geteuid() != 0, reason="needs a run-as user that is not the one who starts")
@pytest.mark.parametrize("directive", ["KinesisCAFile", "KinesisCredentialsFile", "KinesisConfigFile"])
def test_a_file_that_the_run_as_user_cannot_read_is_refused(check, directive):
    server, result = check(whole(inside=f"{directive} @ROOT@/secret"))
    assert_refused(server, result, directive, "secret", connection_name="one")


def test_a_mistake_in_an_included_file_names_that_file_and_line(check, httpd):
    server = httpd(BARE + "Include conf/more.conf\n", start=False)
    included = server.root / "conf" / "more.conf"
    included.write_text(conn(GOOD_STREAM, "KinesisLinger 5x"))
    result = server.configtest()
    assert result.returncode != 0
    assert "more.conf" in result.stdout and re.search(r"\b3\b", result.stdout), result.stdout


@pytest.mark.parametrize("defined", [False, True])
def test_ifdefine_and_include_work_inside_a_section(httpd, defined):
    server = httpd(BARE + conn(GOOD_STREAM, "Include conf/inside.conf", "<IfDefine WRONG>", "KinesisLinger 5x",
                               "</IfDefine>"), start=False)
    (server.root / "conf" / "inside.conf").write_text("KinesisLinger 1s\n")
    result = server.configtest(*(["-D", "WRONG"] if defined else []))
    assert (result.returncode == 0) is not defined, result.stdout


def test_configtest_creates_nothing_and_does_not_mind_a_store_in_use(aws, httpd, check):
    server, result = check(configs.one_of_each(aws.url))
    assert_taken(result)
    assert not (server.root / "store").exists(), "configtest made the store"
    running = httpd(configs.one_of_each(aws.url))
    assert_taken(running.configtest())
    assert running.post("/v2/events", batch()).status == 202


# What settings mean together, seen from outside

def test_defaults_hold_wherever_they_stand_and_sections_replace_or_unset_them(aws, httpd):
    for name in ("first", "second", "third"):
        aws.add_stream(name)
    config = (connection("a", stream="first") + location("/a", "a", "b", "c") + defaults(aws.url)
              + connection("b", "KinesisUniqueId own", stream="second")
              + connection("c", "KinesisUniqueId none", stream="third") + "KinesisUniqueId late\n")
    server = httpd(config)
    assert server.post("/a", batch()).status == 202
    assert aws.wait_for(3) == 3
    assert [ledger.members(aws, "unique_id", name) for name in ("first", "second", "third")] == \
        [["late"], ["own"], [None]]


def test_an_inner_location_replaces_the_list_and_keeps_the_rest(aws, httpd):
    aws.add_stream("inner")
    config = (defaults(aws.url) + connection("a") + connection("b", stream="inner")
              + location("/a", "a", lines=("KinesisMaxBodySize 1000", ))
              + configs.section("Location", '"/a/b"', ["KinesisForward b"])
              + configs.section("Location", '"/a/none"', ["KinesisForward none"]))
    server = httpd(config)
    outer, inner = unique(), unique()
    assert server.post("/a", batch(outer)).status == 202
    assert server.post("/a/b", batch(inner)).status == 202
    assert server.post("/a/b", batch(padding="x" * 1000)).status == 413
    assert aws.wait_for(2) == 2
    assert (ledger.ids(aws), ledger.ids(aws, "inner")) == ([outer], [inner])
    server.expect("KF0101")
    assert server.post("/a/none", batch()).status == 500


def test_virtual_hosts_feed_connections_of_the_main_server(aws, httpd):
    aws.add_stream("other")
    config = (defaults(aws.url) + connection("a") + connection("b", stream="other")
              + f"<VirtualHost *:@PORT@>\nServerName a.example\n{location('/v2/events', 'a')}</VirtualHost>\n"
              + f"<VirtualHost *:@PORT@>\nServerName b.example\n{location('/v2/events', 'b')}</VirtualHost>\n")
    server = httpd(config)
    first, second = unique(), unique()
    assert server.post("/v2/events", batch(first), {"Host": "a.example"}).status == 202
    assert server.post("/v2/events", batch(second), {"Host": "b.example"}).status == 202
    assert aws.wait_for(2) == 2
    assert (ledger.ids(aws), ledger.ids(aws, "other")) == ([first], [second])


def test_a_location_without_connections_answers_500_and_logs_why(httpd):
    server = httpd(location("/v2/events"))
    server.expect("KF0101")
    assert server.post("/v2/events", batch()).status == 500


@pytest.mark.parametrize("handler", ["", "SetHandler kinesis_forward\n"])
def test_a_location_without_the_handler_says_that_it_is_missing(httpd, handler):
    server = httpd(defaults("http://127.0.0.1:9") + connection("one")
                   + configs.section("Location", '"/v2/events"', [handler + "KinesisForward one"]))
    server.expect("KF0106")
    assert server.request("GET", "/v2/events").status == 404 and "KF0106" not in server.log()
    assert server.post("/v2/events", batch()).status == 404
    server.wait_log("/v2/events: a location has KinesisForward but not the handler; add SetHandler kinesis-forward")


def test_directory_sections_can_feed_too(aws, httpd):
    server = httpd(defaults(aws.url) + connection("one")
                   + configs.section("Directory", '"@ROOT@/htdocs"',
                                     ["SetHandler kinesis-forward", "KinesisForward one"]))
    assert server.post("/anything", batch()).status == 202
    assert aws.wait_for(1) == 1


@pytest.mark.parametrize("source", ["literal", "file", "file without line break", "env"])
def test_secrets_come_from_the_configuration_a_file_or_the_environment(aws, httpd, source):
    secret = {"literal": SECRET, "env": "env:KF_TEST_SECRET"}.get(source, "file:@ROOT@/own")
    config = defaults(aws.url) + connection("one", f"KinesisSecretAccessKey {secret}") + location("/v2/events", "one")
    from_environment = {"environment": {"KF_TEST_SECRET": SECRET}, "secret_variables": ("KF_TEST_SECRET",)}
    server = httpd(config, start=False, **(from_environment if source == "env" else {}))
    own = server.root / "own"
    own.write_text(SECRET + ("\r\n" if source == "file" else ""))
    own.chmod(0o600)
    server.start()
    assert server.post("/v2/events", batch()).status == 202
    assert aws.wait_for(1) == 1, server.log()


def test_key_id_and_token_come_from_files_too(aws, httpd):
    aws.add_credential("AKIDTEMPORARY", "s" * 40, token="a-token/with+signs==")
    config = (defaults(aws.url) + connection("one", "KinesisAccessKeyId file:@ROOT@/id",
                                             f"KinesisSecretAccessKey {'s' * 40}",
                                             "KinesisSessionToken file:@ROOT@/token") + location("/v2/events", "one"))
    server = httpd(config, start=False)
    (server.root / "id").write_text("AKIDTEMPORARY\n")
    (server.root / "token").write_text("a-token/with+signs==\n")
    (server.root / "token").chmod(0o640)
    server.start()
    assert server.post("/v2/events", batch()).status == 202
    assert aws.wait_for(1) == 1, server.log()


# What must not be seen

HIDDEN = {"KinesisSecretAccessKey": "hiddenSecretOfTheConfiguration", "KinesisSessionToken": "hiddenTokenOfIt"}


def secret_config(url: str) -> str:
    return (defaults(url) + connection("one", *(f"{name} {value}" for name, value in HIDDEN.items()),
                                       "KinesisProxy http://user:hiddenPassword@127.0.0.1:9")
            + location("/v2/events", "one") + "<Location /info>\nSetHandler server-info\n</Location>\n")


def assert_nothing_shown(text: str) -> None:
    for value in (*HIDDEN.values(), "hiddenPassword", SECRET):
        assert value not in text


def test_secrets_are_shown_by_no_configuration_dump(httpd):
    server = httpd(secret_config("http://127.0.0.1:9"), start=False, modules=("info", ))
    dump = server.configtest("-D", "DUMP_CONFIG").stdout
    assert "KinesisSecretAccessKey" in dump
    assert_nothing_shown(dump)


def test_secrets_are_shown_by_no_page_and_no_log(aws, httpd):
    server = httpd(secret_config("http://127.0.0.1:9"), modules=("info", ), log_level="trace8")
    server.allow("KF0405", "KF0305", "KF0303", "AH00045")
    page = server.request("GET", "/info")
    assert page.status == 200 and b"KinesisSecretAccessKey" in page.body
    assert_nothing_shown(page.body.decode())
    assert server.post("/v2/events", batch()).status == 202
    server.wait_log("KF0405")
    server.stop()
    assert_nothing_shown(server.all_log())


def test_the_key_and_the_signature_reach_no_log_when_delivering(aws, httpd):
    server = httpd(configs.one_of_each(aws.url), log_level="trace8")
    assert server.post("/v2/events", batch()).status == 202
    assert aws.wait_for(1) == 1
    server.stop()
    log = server.all_log()
    assert SECRET not in log and "Signature=" not in log


@pytest.mark.parametrize("line", ["KinesisSecretAccessKey two hiddenWords", 'KinesisSecretAccessKey "a hiddenBlank"',
                                  'KinesisSessionToken "a hiddenBlank"', "KinesisProxy http://u:hiddenWord@h:x",
                                  "KinesisEndpoint https://u:hiddenWord@h.example"])
def test_a_mistake_in_a_secret_is_reported_without_it(check, line):
    result = check(whole(inside=line))[1]
    assert result.returncode != 0
    assert "hidden" not in result.stdout and line.split()[0] in result.stdout, result.stdout


# Faults of the environment at a restart

@pytest.mark.parametrize("how", ["graceful", "restart"])
def test_a_secret_that_is_gone_at_a_restart_leaves_httpd_running_and_answers_503(aws, httpd, how):
    config = (defaults(aws.url) + connection("one", "KinesisSecretAccessKey file:@ROOT@/own") + connection("two")
              + location("/v2/events", "one") + location("/two", "two"))
    server = httpd(config, start=False)
    own = server.root / "own"
    own.write_text(SECRET)
    own.chmod(0o600)
    server.start()
    assert server.post("/v2/events", batch()).status == 202
    own.unlink()
    server.expect("KF0103")
    getattr(server, how)()
    wait_until(lambda: server.post("/v2/events", batch()).status == 503, "the location to answer 503")
    answer = server.post("/v2/events", batch())
    assert answer.status == 503 and int(answer.headers["Retry-After"]) >= 1
    assert answer.error()
    assert server.post("/two", batch()).status == 202
    own.touch(0o600)
    own.write_text(SECRET)
    server.graceful()
    wait_until(lambda: server.post("/v2/events", batch()).status == 202, "the location to answer 202 again")


def test_a_secret_that_is_missing_at_the_first_start_is_an_error(httpd):
    config = (defaults("http://127.0.0.1:9") + connection("one", "KinesisSecretAccessKey file:@ROOT@/own")
              + location("/v2/events", "one"))
    server = httpd(config, start=False)
    assert "KinesisSecretAccessKey" in server.start_failing()


# What beginners get wrong: the message says what to do

REGION = "KinesisRegion us-east-1\n"
BEGINNERS = {
    "a path without file:": (lambda config: config.replace("file:@ROOT@", "@ROOT@"), "write file: before the name"),
    "File: for file:": (lambda config: config.replace("file:@ROOT@", "File:@ROOT@"), "small letters"),
    "a letter too few": (lambda config: config.replace("KinesisStreamName", "KinesisSteamName"),
                         "there is no directive KinesisSteamName; is KinesisStreamName meant?"),
    "a name that was guessed": (lambda config: config.replace("KinesisStreamName", "KinesisTopicForEverything"),
                                "there is no directive KinesisTopicForEverything"),
    "an ARN for a name": (lambda config: config.replace(
        "KinesisStreamName events", "KinesisStreamName arn:aws:kinesis:us-east-1:123456789012:stream/events"),
                          "an ARN belongs in KinesisStreamArn"),
    "no region": (lambda config: config.replace(REGION, "").replace(
        "KinesisStreamName events", "KinesisStreamArn arn:aws:kinesis:eu-west-1:123456789012:stream/events"),
                  "than KinesisRegion us-east-1, the default: set KinesisRegion"),
}


@pytest.mark.parametrize("mistake", BEGINNERS)
def test_what_beginners_get_wrong_is_said_with_what_to_do(httpd, mistake):
    change, words = BEGINNERS[mistake]
    right = configs.one_of_each("http://127.0.0.1:9")
    assert change(right) != right
    server = httpd(change(right), start=False)
    result = server.configtest()
    assert result.returncode != 0 and words in result.stdout, result.stdout
    assert f"{server.root}/secret" not in result.stdout


def test_a_store_that_cannot_be_made_is_said_once(httpd):
    server = httpd(configs.one_of_each("http://127.0.0.1:9") + 'KinesisStoreDirectory "@ROOT@/secret/store"\n', start=False)
    result = server.configtest()
    assert result.returncode != 0 and result.stdout.count("KinesisStoreDirectory") == 1, result.stdout


@pytest.mark.skipif(os.geteuid() != 0, reason="needs a run-as user that is not the one who starts")
@pytest.mark.parametrize("folder", ["closed", "closed/open"])
def test_a_store_that_the_run_as_user_cannot_reach_is_refused(httpd, folder):
    server = httpd(configs.one_of_each("http://127.0.0.1:9") + f'KinesisStoreDirectory "@ROOT@/{folder}/store"\n', start=False)
    (server.root / "closed" / "open").mkdir(parents=True)
    (server.root / "closed").chmod(0o700)
    result = server.configtest()
    closed = server.root / "closed"
    assert result.returncode != 0 and result.stdout.count("KF0104") == 1, result.stdout
    assert f"KinesisStoreDirectory: {closed} cannot be entered by user www-data" in result.stdout
    assert f'"chmod o+x {closed}", or name another folder' in result.stdout
    closed.chmod(0o711)
    assert_taken(server.configtest())
