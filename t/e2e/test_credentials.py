"""Where connections get their keys: every source delivers end to end, keys change under load, sources fail and come back.
The stand-in takes a signature only with keys that are good at the time."""
from __future__ import annotations

import json
import socket

import pytest

import ledger
from configs import batch, connection, location, unique
from httpd_server import KEY_ID, MPMS, SECRET, Httpd, wait_until, write_private
from standin import StandIn

ACCOUNT = "123456789012"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/sender"
OTHER_ROLE = "arn:aws:iam::210987654321:role/other"
STATIC = (f"KinesisAccessKeyId {KEY_ID}", "KinesisSecretAccessKey file:@ROOT@/secret")
ONE_CHILD = "ServerLimit 1\nStartServers 1\nMaxRequestWorkers 16\nMaxSpareThreads 16"
KEYS = f"aws_access_key_id = {KEY_ID}\naws_secret_access_key = {SECRET}\n"


def common(url: str) -> str:
    """Defaults without keys."""
    return f"KinesisRegion us-east-1\nKinesisEndpoint {url}\nKinesisBatchWindow 0\nKinesisRetryBackoff 10ms 200ms\n"


def variables(aws: StandIn, **more: str) -> dict[str, str]:
    return {"AWS_ENDPOINT_URL_STS": aws.url, **more}


def instance(aws: StandIn) -> dict[str, str]:
    return variables(aws, AWS_EC2_METADATA_DISABLED="false", AWS_EC2_METADATA_SERVICE_ENDPOINT=aws.url)


@pytest.fixture
def serve(aws, httpd):
    """A server whose connection `one` has these lines, with these variables and files of the children's user."""
    def make(*lines: str, environment: dict[str, str], files: dict[str, str] | None = None, start: bool = True,
             more: str = "", **options: object) -> Httpd:
        server = httpd(common(aws.url) + more + connection("one", *lines) + location("/v2/events", "one"),
                       start=False, environment=environment, **options)
        server._environment = {name: value.replace("@ROOT@", str(server.root))
                               for name, value in server._environment.items()}
        for name, text in (files or {}).items():
            write_private(server.root / name, text.replace("@ROOT@", str(server.root)))
        return server.start() if start else server
    return make


def deliver(aws: StandIn, server: Httpd, count: int = 5) -> list[str]:
    posted = [unique() for _ in range(count)]
    for name in posted:
        answer = server.post("/v2/events", batch(name))
        assert answer.status == 202, (answer.status, answer.body)
    ledger.assert_exactly(aws, posted)
    return posted


def callers(aws: StandIn) -> set[str]:
    """The key ids that signed puts."""
    return {call["caller"] for call in aws.calls() if call["operation"].startswith("Put")} - {""}


# Each source

def of_environment(aws):
    return (), variables(aws, AWS_ACCESS_KEY_ID=KEY_ID, AWS_SECRET_ACCESS_KEY=SECRET), {}


def of_web_identity(aws):
    aws.add_role(ROLE, web_tokens={"header.claims.signature": None})
    return (), variables(aws, AWS_WEB_IDENTITY_TOKEN_FILE="@ROOT@/token", AWS_ROLE_ARN=ROLE), \
        {"token": "header.claims.signature\n"}


def of_profile(aws):
    return ("KinesisCredentialsFile @ROOT@/credentials", "KinesisProfile mine"), variables(aws), \
        {"credentials": f"[mine]\n{KEYS}"}


def of_profile_with_role(aws):
    aws.add_role(ROLE, external_id="ext", callers=[KEY_ID])
    config = f"[profile mine]\nrole_arn = {ROLE}\nsource_profile = base\nexternal_id = ext\n"
    return ("KinesisProfile mine", ), variables(aws, AWS_SHARED_CREDENTIALS_FILE="@ROOT@/credentials",
                                                AWS_CONFIG_FILE="@ROOT@/config"), \
        {"credentials": f"[base]\n{KEYS}", "config": config}


def of_process(aws):
    keys = {"Version": 1, "AccessKeyId": KEY_ID, "SecretAccessKey": SECRET}
    return ("KinesisConfigFile @ROOT@/config", ), variables(aws), \
        {"config": "[default]\ncredential_process = cat \"@ROOT@/keys\"\n", "keys": json.dumps(keys)}


def of_ecs(aws):
    aws.set_container_role(ROLE)
    return (), variables(aws, AWS_CONTAINER_CREDENTIALS_FULL_URI=f"{aws.url}/v2/credentials/some-id"), {}


def of_eks(aws):
    aws.set_container_role(ROLE, authorization="pod-token")
    return (), variables(aws, AWS_CONTAINER_CREDENTIALS_FULL_URI=f"{aws.url}/v1/credentials",
                         AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE="@ROOT@/token"), {"token": "pod-token"}


def of_instance(aws):
    aws.set_instance_role("sender")
    return (), instance(aws), {}


def of_role(aws):
    aws.add_role(ROLE, external_id="ext", callers=[KEY_ID])
    return (*STATIC, f"KinesisRoleArn {ROLE}", "KinesisExternalId ext", "KinesisRoleSessionName httpd@test"), \
        variables(aws), {}


def of_instance_and_role(aws):
    aws.set_instance_role("sender")
    aws.add_role(ROLE)
    return (f"KinesisRoleArn {ROLE}", ), instance(aws), {}


SOURCES = [of_environment, of_web_identity, of_profile, of_profile_with_role, of_process, of_ecs, of_eks, of_instance,
           of_role, of_instance_and_role]


# Where httpd's own environment is what hands a secret over.
SECRET_VARIABLES = {of_environment: ("AWS_SECRET_ACCESS_KEY",)}


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.__name__)
def test_each_source_delivers_and_no_secret_is_logged(aws, serve, source):
    lines, environment, files = source(aws)
    server = serve(*lines, environment=environment, files=files, log_level="trace8", mpm_lines=ONE_CHILD,
                   secret_variables=SECRET_VARIABLES.get(source, ()))
    deliver(aws, server)
    issued = aws.issued_keys()
    assert callers(aws) <= ({keys.key_id for keys in issued} or {KEY_ID})
    log = server.all_log()
    for text in [SECRET, "header.claims.signature", "pod-token", *(k.secret for k in issued), *(k.token for k in issued)]:
        assert text not in log


def test_a_role_is_asked_for_as_configured(aws, serve):
    lines, environment, files = of_role(aws)
    server = serve(*lines, environment=environment, files=files, mpm_lines=ONE_CHILD)
    deliver(aws, server)
    call, = aws.calls("AssumeRole")
    assert call["detail"] == {"RoleArn": ROLE, "RoleSessionName": "httpd@test", "ExternalId": "ext"}


@pytest.mark.parametrize("mpm", MPMS)
def test_every_mpm_searches_once_a_child(aws, serve, mpm):
    lines, environment, files = of_instance(aws)
    server = serve(*lines, environment=environment, files=files, mpm=mpm)
    deliver(aws, server, 20)
    wait_until(lambda: len(aws.calls("GetCredentials")) >= len(server.children()), "every child to have keys")
    assert len(aws.calls("GetCredentials")) <= 2 * len(server.children())


# Keys that change

def of_short_role(aws):
    aws.add_role(ROLE, lifetime=4)
    return (*STATIC, f"KinesisRoleArn {ROLE}"), variables(aws), {}


def of_short_instance(aws):
    aws.set_instance_role("sender", lifetime=4)
    return (), instance(aws), {}


def of_short_container(aws):
    aws.set_container_role(ROLE, lifetime=4)
    return (), variables(aws, AWS_CONTAINER_CREDENTIALS_FULL_URI=f"{aws.url}/v2/credentials/some-id"), {}


@pytest.mark.parametrize("source", [of_short_role, of_short_instance, of_short_container],
                         ids=lambda source: source.__name__)
def test_keys_rotate_under_load_without_a_failed_record(aws, serve, source):
    lines, environment, files = source(aws)
    server = serve("KinesisLinger 0", *lines, environment=environment, files=files, mpm_lines=ONE_CHILD)
    posted: list[str] = []

    def rotated() -> bool:
        posted.append(unique())
        assert server.post("/v2/events", batch(posted[-1])).status == 202
        return len(callers(aws)) >= 4
    wait_until(rotated, "the fourth set of keys to be used")
    ledger.assert_exactly(aws, posted)
    # The gate: no connection was on hold.
    assert not [call for call in aws.calls("PutRecords") if call["code"]]


@pytest.mark.parametrize("how", ["expire_keys", "revoke_keys"])
def test_keys_that_aws_refuses_are_replaced_at_once(aws, serve, how):
    lines, environment, files = of_instance_and_role(aws)
    server = serve(*lines, environment=environment, files=files, mpm_lines=ONE_CHILD)
    first = deliver(aws, server)
    getattr(aws, how)("sts")
    second = [unique() for _ in range(5)]
    for name in second:
        server.post("/v2/events", batch(name))
    ledger.assert_exactly(aws, first + second)
    assert len(callers(aws)) == 2
    assert "KF0306" not in server.log()


def test_keys_replaced_in_the_credentials_file_are_read_when_the_old_ones_are_refused(aws, serve):
    server = serve("KinesisCredentialsFile @ROOT@/credentials", environment=variables(aws),
                   files={"credentials": "[default]\naws_access_key_id=AKIAFIRST\naws_secret_access_key=one\n"},
                   start=False)
    aws.add_credential("AKIAFIRST", "one")
    server.start()
    first = deliver(aws, server)
    write_private(server.root / "credentials", "[default]\naws_access_key_id=AKIASECOND\naws_secret_access_key=two\n")
    aws.add_credential("AKIASECOND", "two")
    aws.remove_credential("AKIAFIRST")
    name = unique()
    server.post("/v2/events", batch(name))
    ledger.assert_exactly(aws, [*first, name])


# Sources that fail

def test_a_connection_without_keys_waits_and_says_who_was_asked(aws, serve):
    aws.set_instance_role(None)
    server = serve(environment=instance(aws), mpm_lines=ONE_CHILD)
    server.expect("KF0408", "KF0306")
    posted = [unique() for _ in range(5)]
    for name in posted:
        assert server.post("/v2/events", batch(name)).status == 202
    server.wait_log("KF0408")
    server.wait_log("KF0306")
    log = server.log()
    for text in ("environment: AWS_ACCESS_KEY_ID is not set", "web identity: AWS_WEB_IDENTITY_TOKEN_FILE is not set",
                 "shared files: ", "container: ", "instance metadata: the instance has no role", "NoCredentials"):
        assert text in log, text
    aws.set_instance_role("sender")
    ledger.assert_exactly(aws, posted)
    server.wait_log("KF0409")
    server.wait_log("KF0307")


def test_keys_at_hand_are_used_while_their_source_fails(aws, serve):
    aws.set_instance_role("sender", lifetime=6, accepted=3600)
    server = serve(environment=instance(aws), mpm_lines=ONE_CHILD)
    server.expect("KF0408")
    first = deliver(aws, server)
    aws.add_fault("error", code="InternalError", status=500, match={"service": "imds"})
    # Past their end too: the service that gave them may be down, and AWS takes them still.
    server.wait_log("those at hand are used as long as AWS takes them")
    second = [unique() for _ in range(5)]
    for name in second:
        server.post("/v2/events", batch(name))
    ledger.assert_exactly(aws, first + second)
    aws.clear_faults()
    server.wait_log("KF0409")


def test_two_connections_use_two_accounts(aws, httpd):
    aws.add_role(ROLE, callers=[KEY_ID])
    aws.add_role(OTHER_ROLE, external_id="ext")
    config = (common(aws.url) + "\n".join(STATIC) + "\n" + connection("one", f"KinesisRoleArn {ROLE}")
              + connection("two", f"KinesisRoleArn {OTHER_ROLE}", "KinesisExternalId ext")
              + connection("three") + connection("four", f"KinesisRoleArn {ROLE}")
              + location("/v2/events", "one", "two", "three", "four"))
    server = httpd(config, environment=variables(aws), mpm_lines=ONE_CHILD)
    assert server.post("/v2/events", batch()).status == 202
    assert aws.wait_for(4) == 4, server.log()
    roles = sorted(keys.role for keys in aws.issued_keys("sts"))
    assert roles == sorted([ROLE, OTHER_ROLE])
    assert len(callers(aws)) == 3


@pytest.mark.parametrize("mpm", ["event", "prefork"])
def test_a_stop_does_not_wait_for_a_source_that_hangs(aws, serve, mpm):
    with socket.create_server(("127.0.0.1", 0), backlog=64) as hole:
        server = serve(*STATIC, f"KinesisRoleArn {ROLE}", mpm=mpm, more="KinesisShutdownTimeout 100ms\n",
                       environment={"AWS_ENDPOINT_URL_STS": f"http://127.0.0.1:{hole.getsockname()[1]}"})
        hole.settimeout(30)
        held = hole.accept()
        assert server.post("/v2/events", batch()).status == 202
        # The call would take 20 seconds, and httpd kills after 9: which the gate would see.
        server.stop()
        held[0].close()


def test_a_stop_does_not_wait_for_a_program_that_hangs(aws, serve):
    server = serve("KinesisConfigFile @ROOT@/config", environment=variables(aws),
                   more="KinesisShutdownTimeout 100ms\n", start=False, mpm_lines=ONE_CHILD,
                   files={"config": "[default]\ncredential_process = /bin/sh -c 'echo > @ROOT@/cores/began; sleep 60'\n"})
    server.start()
    began = server.root / "cores" / "began"
    wait_until(began.exists, "the program to run")
    assert server.post("/v2/events", batch()).status == 202
    server.stop()
    began.unlink()


def test_a_program_is_started_without_a_fork(aws, serve):
    """It has none of the server's descriptors, and no secret of its environment."""
    keys = json.dumps({"Version": 1, "AccessKeyId": KEY_ID, "SecretAccessKey": SECRET})
    server = serve("KinesisConfigFile @ROOT@/config", mpm_lines=ONE_CHILD, start=False,
                   environment=variables(aws, MY_SECRET="of the server"),
                   files={"config": "[default]\ncredential_process = /bin/sh @ROOT@/program\n",
                          "program": "{ id -un; env; ls -l /proc/self/fd; } > @ROOT@/cores/seen\ncat @ROOT@/keys\n",
                          "keys": keys})
    server.start()
    deliver(aws, server)
    seen_file = server.root / "cores" / "seen"
    seen = seen_file.read_text()
    seen_file.unlink()
    assert "MY_SECRET" not in seen and "socket:" not in seen and "journal" not in seen, seen


# The check of a configuration

BAD_FILES = {
    "a credentials file that all users can read": (
        ("KinesisCredentialsFile @ROOT@/file", ), f"[default]\n{KEYS}", 0o644,
        ("KinesisCredentialsFile", "file: is readable by all users", "chmod 600")),
    "a file that is none": (("KinesisConfigFile @ROOT@/file", ), "[default]\nnonsense\n", 0o600,
                            ("KinesisConfigFile", "file: line 2")),
    "a profile that is not there": (
        ("KinesisConfigFile @ROOT@/file", "KinesisCredentialsFile @ROOT@/file", "KinesisProfile x"), "[y]\n", 0o600,
        ("KinesisCredentialsFile", 'there is no profile "x"')),
    "a secret that all users can read": (STATIC[:1] + ("KinesisSecretAccessKey file:@ROOT@/file", ), SECRET, 0o604,
                                         ("KinesisSecretAccessKey", "is readable by all users", "chmod 600")),
}


@pytest.mark.parametrize("case", BAD_FILES)
def test_configtest_refuses(aws, serve, case):
    lines, text, mode, named = BAD_FILES[case]
    server = serve(*lines, environment=variables(aws), start=False)
    write_private(server.root / "file", text, mode)
    result = server.configtest()
    assert result.returncode != 0, result.stdout
    for word in named:
        assert word in result.stdout, result.stdout
    assert SECRET not in result.stdout


def test_configtest_says_what_is_ignored(aws, serve):
    server = serve(*STATIC, "KinesisProfile x", environment=variables(aws), start=False)
    result = server.configtest()
    assert result.returncode == 0 and "KF0102" in result.stdout and "KinesisProfile is ignored" in result.stdout


def test_a_credentials_file_opened_to_all_at_a_restart_leaves_httpd_running(aws, serve):
    server = serve("KinesisCredentialsFile @ROOT@/credentials", environment=variables(aws),
                   files={"credentials": f"[default]\n{KEYS}"})
    deliver(aws, server)
    (server.root / "credentials").chmod(0o644)
    server.expect("KF0103")
    server.graceful()
    wait_until(lambda: server.post("/v2/events", batch()).status == 503, "the location to answer 503")
