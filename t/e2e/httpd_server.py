"""An httpd of a test's own: a private ServerRoot with a generated configuration, its processes and its logs.

Nothing that a child reads may lie in the source tree, which may stand below a folder that the run-as user
can't enter: everything is written into a fresh folder below the temporary directory, mode 0755. Only the
module is loaded from the build, by the parent.

In a configuration @ROOT@ stands for the ServerRoot and @PORT@ for the port.
"""
from __future__ import annotations

import fcntl
import os
import random
import re
import resource
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, Iterable, TypeVar

import leaks
from client import Answer, Client

SOURCE = Path(__file__).resolve().parents[2]
HTTPD = os.environ.get("KF_HTTPD") or "/usr/sbin/apache2"
MODULES_DIR = os.environ.get("KF_HTTPD_MODULES_DIR") or "/usr/lib/apache2/modules"
MODULE = os.environ.get("KF_MODULE") or str(SOURCE / ".libs" / "mod_kinesis_forward.so")
HOST = "127.0.0.1"
MPMS = ("event", "worker", "prefork")
# httpd kills a child that has not ended so long after a stop.
KILLED_AFTER_SECONDS = 9

# How long a test waits for what must happen soon; only a failure waits so long.
DEADLINE = 30 * float(os.environ.get("KF_TEST_PATIENCE") or 1)
POLL_SECONDS = 0.02

KEY_ID = "AKIDEXAMPLE"
SECRET = leaks.add("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "the secret access key of the tests")

# Loaded where they are modules of their own, in this order.
USUAL_MODULES = ("unixd", "log_config", "authn_core", "authn_file", "authz_core", "authz_host",
                 "authz_user", "auth_basic", "env", "headers")

MPM_LINES = {
    "event": """\
        ServerLimit 8
        StartServers 2
        ThreadsPerChild 16
        MaxRequestWorkers 32
        MinSpareThreads 1
        MaxSpareThreads 32
        AsyncRequestWorkerFactor 4""",
    "prefork": """\
        ServerLimit 16
        StartServers 4
        MinSpareServers 2
        MaxSpareServers 16
        MaxRequestWorkers 16""",
}
MPM_LINES["worker"] = MPM_LINES["event"].replace("        AsyncRequestWorkerFactor 4", "")

FAILING_LEVELS = ("emerg", "alert", "crit", "error", "warn")
LOG_LINE = re.compile(r"^\[[^]]*\] \[(?P<module>[^]:]*):(?P<level>[a-z0-9]+)\]")
MESSAGE_ID = re.compile(r"\b(KF\d{4}|AH\d{5})\b")
# httpd tells of the end of a child by a signal at the level notice.
CHILD_CRASHED = ("AH00050", "AH00051", "AH00052")

# At an immediate end httpd's main thread closes the connections that its threads still work on: it may crash by that
# (event), or a thread waits its two seconds for the end of a connection whose descriptor is another file's by then.
# Seen without this module too; the backtraces show httpd and APR alone.
CLOSED_IN_USE = ("AH00045", "AH00046", "AH00051", "AH03092", "AH03093")
# How long an immediate end waits for connections to be over that nobody uses any more.
SETTLE_SECONDS = 0.5

Result = TypeVar("Result")


class Missing(Exception):
    """Something the environment needs isn't there; the text says what and how to get it."""


@dataclass
class LogLine:
    """One line of the error log, as far as the gate looks at it."""
    text: str
    level: str
    ids: tuple[str, ...]

    @property
    def fails(self) -> bool:
        return self.level in FAILING_LEVELS or any(i in CHILD_CRASHED for i in self.ids)


def wait_until(check: Callable[[], Result], what: str, timeout: float = DEADLINE) -> Result:
    """Polls until check() gives something true, which is returned; AssertionError at the deadline."""
    deadline = time.monotonic() + timeout
    while not (found := check()):
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {timeout:.0f} s in vain for {what}")
        time.sleep(POLL_SECONDS)
    return found


class Port:
    """A port of loopback that no other user of this class has at the time.

    It is taken outside the range from which the kernel serves outgoing connections and binds to port 0, so
    nobody gets it by chance between the check and httpd's bind; a locked file keeps other tests off.
    """

    def __init__(self) -> None:
        folder = Path(temporary_directory()) / f"kf-ports-{os.getuid()}"
        folder.mkdir(mode=0o700, exist_ok=True)
        with open("/proc/sys/net/ipv4/ip_local_port_range", encoding="ascii") as range_file:
            first, last = map(int, range_file.read().split())
        outside = [p for p in range(20000, 65500) if not first <= p <= last]
        for number in random.sample(outside, len(outside)):
            if self._take(folder, number):
                return
        raise Missing("no free port on 127.0.0.1")

    def _take(self, folder: Path, number: int) -> bool:
        lock = os.open(folder / f"{number}.lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            with socket.socket() as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind((HOST, number))
        except OSError:
            os.close(lock)
            return False
        self.number, self._lock = number, lock
        return True

    def release(self) -> None:
        os.close(self._lock)


def temporary_directory() -> str:
    """TMPDIR if others can enter it, since children may run as another user, else /tmp."""
    wanted = Path(tempfile.gettempdir()).resolve()
    if all(folder.stat().st_mode & 0o001 for folder in (wanted, *wanted.parents)):
        return str(wanted)
    return "/tmp"


def load_module(name: str, path: str | None = None) -> str:
    file = path or f"{MODULES_DIR}/mod_{name}.so"
    return f"LoadModule {name}_module {file}\n"


def built_in() -> set[str]:
    """Names of the modules that the httpd program holds itself."""
    listed = subprocess.run([HTTPD, "-l"], capture_output=True, text=True, check=True).stdout
    return set(re.findall(r"\bmod_(\w+)\.c", listed))


def load_lines(mpm: str, modules: Iterable[str] = (), with_module: bool = True) -> str:
    """LoadModule lines for the MPM, the usual modules, these and ours, leaving out what httpd holds itself."""
    inside = built_in()
    wanted = [name for name in dict.fromkeys((*USUAL_MODULES, *modules)) if name not in inside]
    ours = load_module("kinesis_forward", MODULE) if with_module else ""
    return load_module(f"mpm_{mpm}") + "".join(map(load_module, wanted)) + ours


def run_as_lines() -> str:
    """Who the children run as, where they can be somebody else than who starts."""
    return "User www-data\nGroup www-data\n" if os.geteuid() == 0 else ""


def write_private(path: Path, text: str, mode: int = 0o600) -> Path:
    """Writes a file that belongs to who the children run as, and that others can't read."""
    path.touch(mode)
    path.chmod(mode)
    path.write_text(text)
    if os.geteuid() == 0:
        shutil.chown(path, "www-data", "www-data")
    return path


def check_prerequisites() -> None:
    """Raises Missing with what to do where httpd, its modules or ours aren't there."""
    if not os.access(HTTPD, os.X_OK):
        raise Missing(f"no httpd at {HTTPD} (Debian: apt-get install apache2-bin; or set KF_HTTPD)")
    if not os.path.exists(f"{MODULES_DIR}/mod_mpm_event.so"):
        raise Missing(f"no modules of httpd in {MODULES_DIR} (set KF_HTTPD_MODULES_DIR)")
    if not os.path.exists(MODULE):
        raise Missing(f"{MODULE} has not been built (run make, or set KF_MODULE)")


# httpd says of itself that it is busy, as it may be wherever the machine is slow.
CAPACITY_HINTS = ("AH00161", "AH00286", "AH00484", "AH10159", "AH10392")


class Httpd:
    """One server. Life: start, any of the signals, stop; close() ends and removes everything."""

    live: list["Httpd"] = []

    def __init__(self, config: str, *, mpm: str = "event", modules: Iterable[str] = (), mpm_lines: str = "",
                 log_level: str = "info", with_module: bool = True, environment: dict[str, str] | None = None,
                 single_process: bool = False, head: str | None = None, prefix: str = "kf-e2e-",
                 wrapper: Iterable[str] = (), secret_variables: Iterable[str] = (),
                 sanitizer_options: str = "") -> None:
        """`config` follows `head`, which is made of the other settings where it isn't given; `wrapper` is a command
        that runs httpd's, which is appended to it, in its own process; `secret_variables` of the environment hold
        secrets on purpose, for httpd's own processes; `sanitizer_options` are for a build with ASan."""
        check_prerequisites()
        self.mpm = mpm
        self.single_process = single_process
        self._environment = environment or {}
        self._sanitizer_options = sanitizer_options
        self._secret_variables = frozenset(secret_variables)
        self._shown: set[str] = set()
        self._port = Port()
        self.port = self._port.number
        self.root = Path(tempfile.mkdtemp(prefix=prefix, dir=temporary_directory()))
        self.root.chmod(0o755)
        self._wrapper = [word.replace("@ROOT@", str(self.root)) for word in wrapper]
        for folder in ("logs", "run", "htdocs", "conf"):
            (self.root / folder).mkdir()
        cores = self.root / "cores"
        cores.mkdir()
        cores.chmod(0o1777)
        secret = self.root / "secret"
        secret.write_text(SECRET + "\n")
        secret.chmod(0o600)
        self._head = self._head_lines(modules, mpm_lines, log_level, with_module) if head is None else head
        self.client = Client(HOST, self.port)
        self.process: subprocess.Popen | None = None
        self._stderr = self.root / "logs" / "stderr.log"
        self._gated = {"stderr.log": 0, "error.log": 0}
        self._announced: set[str] = set(CAPACITY_HINTS)
        self._required: set[str] = set()
        self.configure(config)
        Httpd.live.append(self)

    # Configuration

    def configure(self, config: str) -> None:
        """Writes the configuration; a running server sees it at its next restart."""
        text = self._head + config
        for name, value in (("@ROOT@", str(self.root)), ("@PORT@", str(self.port))):
            text = text.replace(name, value)
        self.config_file.write_text(text)

    @property
    def config_file(self) -> Path:
        return self.root / "conf" / "httpd.conf"

    def lines_of(self, text: str) -> set[int]:
        """The lines of the configuration that contain the text."""
        lines = enumerate(self.config_file.read_text().splitlines(), 1)
        return {number for number, line in lines if text in line}

    def _head_lines(self, modules: Iterable[str], mpm_lines: str, log_level: str, with_module: bool) -> str:
        tuning = "\n".join(line.strip() for line in (MPM_LINES[self.mpm] + "\n" + mpm_lines).splitlines())
        return f"""\
ServerRoot "@ROOT@"
ServerName localhost
Listen {HOST}:@PORT@
PidFile run/httpd.pid
DefaultRuntimeDir run
DocumentRoot "@ROOT@/htdocs"
{load_lines(self.mpm, modules, with_module)}{run_as_lines()}{tuning}
ErrorLog logs/error.log
LogLevel {log_level}
CoreDumpDirectory cores
Timeout 20
KeepAlive On
MaxKeepAliveRequests 0
KeepAliveTimeout 5
GracefulShutdownTimeout 20
<Directory />
    AllowOverride None
</Directory>
{'KinesisStoreDirectory "@ROOT@/store"' if with_module else ''}
"""

    # Life

    def command(self, *arguments: str) -> list[str]:
        return [HTTPD, "-d", str(self.root), "-f", str(self.config_file), *arguments]

    def environment(self) -> dict[str, str]:
        """A small environment: nothing of the caller's AWS settings or proxies gets in."""
        kept = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8", "TZ": "UTC",
                "AWS_EC2_METADATA_DISABLED": "true"}
        if os.environ.get("KF_PRELOAD"):
            kept["LD_PRELOAD"] = os.environ["KF_PRELOAD"]
            kept["ASAN_OPTIONS"] = f"detect_leaks=0:log_path={self.root}/cores/asan:{self._sanitizer_options}"
        return {**kept, **self._environment}

    def configtest(self, *arguments: str) -> subprocess.CompletedProcess:
        """What `apachectl configtest` runs; its output is in .stdout."""
        ended = subprocess.run(self.command("-t", *arguments), env=self.environment(), cwd="/", text=True,
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=DEADLINE, check=False)
        leaks.refuse(ended.stdout.encode(), "the configuration test's output")
        return ended

    def start(self) -> Httpd:
        """Starts in the foreground, as a child that ends with us, and waits until it serves."""
        before = self._resumed()
        mode = ["-X"] if self.single_process else ["-D", "FOREGROUND"]
        command = [*self._wrapper, *self.command(*mode)]
        if os.path.exists("/usr/bin/setpriv"):
            command = ["/usr/bin/setpriv", "--pdeathsig", "TERM", *command]
        limit = resource.getrlimit(resource.RLIMIT_CORE)
        resource.setrlimit(resource.RLIMIT_CORE, (limit[1], limit[1]))
        with open(self._stderr, "ab") as stderr:
            self.process = subprocess.Popen(command, env=self.environment(), cwd="/", stdin=subprocess.DEVNULL,
                                            stdout=stderr, stderr=stderr, start_new_session=True)
        wait_until(lambda: self._serves(before) or self.process.poll() is not None, "httpd to serve")
        if self.process.returncode is not None:
            raise AssertionError(f"httpd ended with {self.process.returncode}:\n{self.all_log()}")
        self.shown()
        return self

    def start_failing(self) -> str:
        """Starts what is expected to end by itself with an error; all it said."""
        with open(self._stderr, "ab") as stderr:
            ended = subprocess.run(self.command("-D", "FOREGROUND"), env=self.environment(), cwd="/", timeout=DEADLINE,
                                   stdin=subprocess.DEVNULL, stdout=stderr, stderr=stderr, check=False)
        assert ended.returncode != 0, "httpd started and ended well"
        self.gate()
        return self.all_log()

    def running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    def graceful(self) -> None:
        """Restarts gracefully and waits until the new generation serves."""
        self._restart(signal.SIGUSR1)

    def restart(self) -> None:
        self._restart(signal.SIGHUP)

    def stop(self, timeout: float = DEADLINE) -> float:
        """Stops at once; how long it took, in seconds."""
        return self._end(signal.SIGTERM, timeout)

    def graceful_stop(self, timeout: float = DEADLINE) -> float:
        return self._end(signal.SIGWINCH, timeout)

    def kill(self) -> None:
        """Kills every process of the server as a power cut would."""
        self.shown()
        pids = self.processes()
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(DEADLINE)
        self.wait_dead()
        # A thread in the middle of a sync keeps the listening socket a little longer than the process has a name.
        wait_until(lambda: not any(map(_has_threads, pids)), "the last threads to end")

    def close(self) -> None:
        """Ends whatever still runs and frees port and folder."""
        try:
            if self.running():
                self.signal(signal.SIGTERM)
                try:
                    self.process.wait(DEADLINE)
                except subprocess.TimeoutExpired:
                    pass
            for pid in self.processes():
                os.kill(pid, signal.SIGKILL)
            if self.process is not None:
                self.process.wait(DEADLINE)
        finally:
            Httpd.live.remove(self)
            self._port.release()
            if not os.environ.get("KF_KEEP"):
                shutil.rmtree(self.root, ignore_errors=True)

    def _let_connections_end(self) -> None:
        """Before an immediate end: what is still in use then, httpd may stumble over."""
        deadline = time.monotonic() + SETTLE_SECONDS
        while _connections(self.port):
            if time.monotonic() > deadline:
                break
            time.sleep(POLL_SECONDS)
        if _connections(self.port):
            self.allow(*CLOSED_IN_USE)
        time.sleep(POLL_SECONDS)

    def _end(self, number: int, timeout: float) -> float:
        self.shown()
        if number == signal.SIGTERM:
            self._let_connections_end()
        begun = time.monotonic()
        self.signal(number)
        try:
            self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"httpd did not end within {timeout:.0f} s") from None
        self.wait_dead()
        return time.monotonic() - begun

    def _restart(self, number: int) -> None:
        if number == signal.SIGHUP:
            self._let_connections_end()
        before = self._resumed()
        self.signal(number)
        wait_until(lambda: self._resumed() > before or not self.running(), "httpd to resume after a restart")
        assert self.running(), f"httpd ended at a restart:\n{self.log()}"
        wait_until(self._serves, "httpd to serve after a restart")

    def _resumed(self) -> int:
        return self.log().count("resuming normal operations")

    def _serves(self, before: int = 0) -> bool:
        """Whether it can be connected to, and has said that it works more often than `before`."""
        try:
            socket.create_connection((HOST, self.port), timeout=1).close()
        except OSError:
            return False
        return self.single_process or self._resumed() > before

    # Processes

    def processes(self) -> list[int]:
        """All processes of this server, told by the ServerRoot in their command line."""
        mark = str(self.root).encode()
        found = []
        for entry in os.listdir("/proc"):
            if entry.isdigit() and mark in _read(f"/proc/{entry}/cmdline") and _state(entry) not in ("Z", ""):
                found.append(int(entry))
        return found

    def children(self) -> list[int]:
        """The processes that serve: those whose parent is the server's."""
        return [pid for pid in self.processes() if _parent(pid) == self.process.pid]

    def programs(self) -> list[int]:
        """What the server's processes run, and what that runs in turn, down to the last."""
        parents = {int(entry): _parent(entry) for entry in os.listdir("/proc") if entry.isdigit()}
        found = {self.process.pid}
        while more := {pid for pid, parent in parents.items() if parent in found} - found:
            found |= more
        return sorted(pid for pid in found if not self._is_httpd(pid))

    def _is_httpd(self, pid: int) -> bool:
        """Or what is about to become a program, and has the address space of httpd till then."""
        return "\0".join(self.command()).encode() in _read(f"/proc/{pid}/cmdline")

    def wait_dead(self) -> None:
        wait_until(lambda: not self.processes(), "the server's processes to end")

    def wait_replaced(self, old: Iterable[int]) -> None:
        """Waits until none of these children is left."""
        wait_until(lambda: not set(old) & set(self.processes()), "the old children to end")

    # Logs

    def log(self) -> str:
        return self._log_file("error.log")

    def all_log(self) -> str:
        """With what was said before the error log was open."""
        return self._log_file("stderr.log") + self.log()

    def _log_file(self, name: str) -> str:
        path = self.root / "logs" / name
        return path.read_text(errors="replace") if path.exists() else ""

    def cores(self) -> list[str]:
        return sorted(os.listdir(self.root / "cores"))

    def wait_log(self, text: str, count: int = 1) -> None:
        wait_until(lambda: self.log().count(text) >= count, f"{text!r} in the error log")

    def allow(self, *ids: str) -> None:
        """Lines with these message ids (KF0402, AH00045) may appear."""
        self._announced |= set(ids)

    def expect(self, *ids: str) -> None:
        """Lines with these message ids must appear, sooner or later."""
        self.allow(*ids)
        self._required |= set(ids)

    def gate(self) -> list[str]:
        """What the log gate holds against the lines since it was asked last; may be called at any time."""
        new = []
        for name, seen in self._gated.items():
            lines = _log_lines(self._log_file(name))
            new += lines[seen:]
            self._gated[name] = len(lines)
        return [line.text for line in new if line.fails and not self._announced & set(line.ids)] + \
            [f"left behind: cores/{name}" for name in self.cores()
             if not (name.startswith("core") and "AH00051" in self._announced)]

    def leaks(self) -> list[str]:
        """The files written so far that hold a secret, and what processes showed."""
        return leaks.found_under(self.root) + self.shown()

    def shown(self) -> list[str]:
        """The secrets that command lines and environments of the server's processes show, and of the programs that
        they run, now or whenever this looked before. It does by itself after a start and before an end."""
        if self.running():
            programs = self.programs()
            for pid in {*self.processes(), *programs}:
                who, announced = ("a program", ()) if pid in programs else ("httpd", self._secret_variables)
                self._shown |= {f"{who}: {fault}" for fault in leaks.found_in_process(pid, announced)}
        return sorted(self._shown)

    def forget_shown(self) -> None:
        """What was shown so far was meant to be."""
        self._shown.clear()

    def missing(self) -> list[str]:
        """Announced messages that never came."""
        return sorted(name for name in self._required if name not in self.all_log())

    # Requests

    def post(self, path: str, body: bytes, headers: dict[str, str] | None = None, **options: object) -> Answer:
        return self.client.request("POST", path, body, {"Content-Type": "application/json", **(headers or {})},
                                   **options)

    def request(self, method: str, path: str, body: bytes | None = None,
                headers: dict[str, str] | None = None) -> Answer:
        return self.client.request(method, path, body, headers or {})


def _log_lines(text: str) -> list[LogLine]:
    """Each line with its level; what isn't in httpd's form is taken for an error."""
    found = []
    for line in text.splitlines():
        match = LOG_LINE.match(line)
        found.append(LogLine(line, match["level"] if match else "error", tuple(MESSAGE_ID.findall(line))))
    return found


def _connections(port: int) -> bool:
    """Whether the server's side of a connection to the port is there, and not only remembered."""
    local, listening, remembered = f":{port:04X}", "0A", "06"
    with open("/proc/net/tcp", encoding="ascii") as table:
        rows = (line.split() for line in table)
        return any(row[1].endswith(local) and row[3] not in (listening, remembered) for row in rows)


def _read(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError:
        return b""


def _stat_fields(pid: int | str) -> list[str]:
    """The fields of /proc/PID/stat after the name: state, parent and so on."""
    return _read(f"/proc/{pid}/stat").decode(errors="replace").rpartition(")")[2].split()


def _state(pid: int | str) -> str:
    return (_stat_fields(pid) or [""])[0]


def is_stopped(pid: int) -> bool:
    """Whether every thread of a process stands still, or has ended."""
    try:
        return all(_state(f"{pid}/task/{thread}") in ("T", "Z", "X", "") for thread in os.listdir(f"/proc/{pid}/task"))
    except OSError:
        return True


def _has_threads(pid: int) -> bool:
    """Whether any thread of a process, which may be a zombie already, is alive."""
    try:
        return any(_state(f"{pid}/task/{thread}") not in ("Z", "X", "") for thread in os.listdir(f"/proc/{pid}/task"))
    except OSError:
        return False


def _parent(pid: int | str) -> int:
    fields = _stat_fields(pid)
    return int(fields[1]) if fields else 0
