"""What every benchmark shares: the sample text, CPU time of processes, percentiles, a free port, a broker."""

import contextlib
import os
import shutil
import socket
import statistics
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

TEXT_BYTES = 2048
_SENTENCE = (
    "今日八时,我县境内普降暴雨,累计雨量一百二十毫米,沿河三个乡镇启动四级应急响应,已转移群众二百一十六人,暂无人员伤亡。"
)


@dataclass(frozen=True, slots=True)
class Result:
    """One contender. `latencies_ms` are single messages at 20 a second, accepted to verified receipt."""

    name: str
    messages: int
    seconds: float
    cpu_s: float
    latencies_ms: tuple[float, ...] = ()
    notes: dict[str, float] = field(default_factory=dict)

    @property
    def rate(self) -> float:
        """Messages a second."""
        return self.messages / self.seconds

    @property
    def cpu_s_per_1000(self) -> float:
        """CPU seconds of all processes for 1,000 messages."""
        return self.cpu_s * 1000 / self.messages

    def percentile_ms(self, percent: int) -> float | None:
        """A percentile of the latencies."""
        if len(self.latencies_ms) < 2:
            return None
        return statistics.quantiles(self.latencies_ms, n=100, method="inclusive")[percent - 1]

    def as_json(self) -> dict[str, object]:
        """The figures under stable names."""
        return {
            "name": self.name,
            "messages": self.messages,
            "messages_per_s": round(self.rate, 1),
            "cpu_s_per_1000": round(self.cpu_s_per_1000, 3),
            "p50_ms": self.percentile_ms(50),
            "p99_ms": self.percentile_ms(99),
            **self.notes,
        }


def sample_text(number: int) -> str:
    """2 KiB of Chinese report text, different for each number."""
    text = f"第{number}号。" + _SENTENCE * (TEXT_BYTES // 100)
    return text.encode()[:TEXT_BYTES].decode(errors="ignore")


def cpu_seconds(pids: Sequence[int]) -> float:
    """User and system time of processes and of the children they have waited for (proc(5))."""
    ticks = 0
    for pid in pids:
        after_name = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
        ticks += sum(int(value) for value in after_name[11:15])
    return ticks / os.sysconf("SC_CLK_TCK")


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until(true: Callable[[], bool], what: str, *, timeout_s: float = 30, step_s: float = 0.02) -> None:
    """Poll; raises `TimeoutError` that names `what`."""
    deadline = time.monotonic() + timeout_s
    while not true():
        if time.monotonic() > deadline:
            raise TimeoutError(what)
        time.sleep(step_s)


def listens(port: int) -> bool:
    """Whether something accepts connections on the port."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@contextlib.contextmanager
def running(argv: Sequence[str], **options: object) -> Iterator[subprocess.Popen[str]]:
    """A process that is ended, by its own pid, when the block is left."""
    process: subprocess.Popen[str] = subprocess.Popen(argv, text=True, **options)  # type: ignore[call-overload]
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        for stream in (process.stdin, process.stdout):
            if stream:
                stream.close()


def read_line(process: "subprocess.Popen[str]") -> str:
    """The next line a child prints; raises `RuntimeError` when it has ended instead."""
    line = process.stdout.readline() if process.stdout else ""
    if not line:
        raise RuntimeError(f"{process.args!r} ended early")
    return line


def tell(process: "subprocess.Popen[str]", line: str) -> None:
    """Write a line to a child."""
    print(line, file=process.stdin, flush=True)


def mosquitto_path() -> str:
    """The broker of Debian; raises `FileNotFoundError` when it is not installed."""
    path = shutil.which("mosquitto", path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")
    if path is None:
        raise FileNotFoundError("mosquitto is not installed: apt-get install mosquitto")
    return path


@contextlib.contextmanager
def plain_broker(folder: Path) -> Iterator[tuple[int, int]]:
    """An open mosquitto on loopback without persistence: (port, pid). For the script only."""
    port = free_port()
    settings = folder / "mosquitto.conf"
    settings.write_text(
        f"listener {port} 127.0.0.1\nallow_anonymous true\nset_tcp_nodelay true\nmax_queued_messages 0\n",
        encoding="utf-8",
    )
    with running([mosquitto_path(), "-c", str(settings)], stderr=subprocess.DEVNULL) as broker:
        wait_until(lambda: listens(port), "mosquitto listens")
        yield port, broker.pid
