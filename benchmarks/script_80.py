"""Runs the script of `script_peer.py` as two processes over a plain mosquitto."""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.measure import Result, cpu_seconds, plain_broker, read_line, running, tell


def run(messages: int = 2000, singles: int = 200) -> Result:
    """Rate and CPU time over sender, receiver and broker; latencies of single messages at 20 a second."""
    with tempfile.TemporaryDirectory(prefix="yizhan-bench-") as name, plain_broker(Path(name)) as (port, broker):
        peer = [sys.executable, "-m", "benchmarks.script_peer"]
        receive = [*peer, "receive", str(port), name, str(messages + singles)]
        send = [*peer, "send", str(port), name, str(messages), str(singles)]
        with running(receive, stdout=subprocess.PIPE) as receiver:
            read_line(receiver)
            with running(send, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as sender:
                read_line(sender)
                pids = [broker, receiver.pid, sender.pid]
                before_s = cpu_seconds(pids)  # the start of the interpreters does not count
                tell(sender, "go")
                took_s = float(json.loads(read_line(sender)))
                used_s = cpu_seconds(pids) - before_s
                tell(sender, "go on")
                latencies_s = json.loads(read_line(sender))
    return Result("script, 80 lines", messages, took_s, used_s, tuple(value * 1000 for value in latencies_s))


if __name__ == "__main__":
    print(run().as_json())
