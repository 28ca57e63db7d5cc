"""A manual as a program: its fenced shell blocks, run in order as a person would type them.

A line that ends in `# runs until stopped` gets a terminal of its own: it is started, and waited for until it is ready
(a relay prints READY, a broker listens). A line that ends in `# ends with N` must end with that status, every other
one with 0.
"""

import os
import re
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

_BLOCK = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_STAYS = re.compile(r"\s*# (?:runs until stopped|一直运行)$")
_STATUS = re.compile(r"\s*# (?:ends with|以) (\d+)(?: 结束)?$")
_STOPPED = re.compile(r"\s*# (?:stop it with Ctrl-C|按 Ctrl-C 停止)$")


@dataclass(frozen=True, slots=True)
class Step:
    """One command, with the lines of its here-document. `stays`: it runs until it is stopped."""

    text: str
    stays: bool = False
    stops: bool = False
    status: int = 0


def steps_of(page: Path) -> list[Step]:
    """The commands of a page, in order, without the marks of what becomes of them."""
    return [step for block in _BLOCK.findall(page.read_text("utf-8")) for step in _steps(block)]


def _steps(block: str) -> Iterator[Step]:
    lines = iter(block.splitlines())
    for line in lines:
        text = line
        while text.endswith("\\"):
            text += "\n" + next(lines)
        if found := re.search(r"<<'(\w+)'", text):
            while not text.endswith("\n" + found.group(1)):
                text += "\n" + next(lines)
        if not text.strip():
            continue
        status = _STATUS.search(text)
        bare = _STATUS.sub("", _STOPPED.sub("", _STAYS.sub("", text)))
        yield Step(
            bare,
            _STAYS.search(text) is not None,
            _STOPPED.search(text) is not None,
            int(status.group(1)) if status else 0,
        )


@dataclass(slots=True)
class Rehearsal:
    """A folder in which a manual is followed; what it started is ended by its own process ids.

    `moved` are ports: what the page says → what is free here. Variables and the working directory last from one command
    to the next, as in a terminal.
    """

    folder: Path
    environment: Mapping[str, str]
    moved: Mapping[str, str]
    running: dict[str, "subprocess.Popen[bytes]"] = field(default_factory=dict)
    said: list[tuple[str, str]] = field(default_factory=list)

    def follow(self, step: Step) -> None:
        """Carry out one step; the assertion that fails shows the whole command and what it said."""
        text = step.text
        for there, here in self.moved.items():
            text = text.replace(there, here)
        if step.stays:
            self._start(text)
        elif step.stops:
            self._stop(text)
        else:
            self._run(text, step.status)

    def end(self) -> None:
        """End whatever still runs."""
        for child in self.running.values():
            child.kill()
            child.wait(10)

    def _run(self, text: str, status: int) -> None:
        state = self.folder / "state"
        script = f'''
[ ! -f "{state}" ] || . "{state}"
{text}
ended=$?
printf "cd '%s'\\numask %s\\n" "$PWD" "$(umask)" > "{state}"
exit $ended
'''
        done = subprocess.run(
            ["/bin/bash", "-c", script],
            cwd=self.folder, env=dict(self.environment), stdin=subprocess.DEVNULL, capture_output=True, text=True,
            timeout=90, check=False,
        )  # fmt: skip
        self.said.append((text, done.stdout + done.stderr))
        assert done.returncode == status, f"$ {text}\n{done.stdout}{done.stderr}"

    def _start(self, text: str) -> None:
        """Start a relay or broker in its own terminal, which stands in the folder where the page began to work."""
        log = self.folder / f"terminal-{len(self.said)}.log"
        state = self.folder / "state"
        with log.open("wb") as out:
            argv = ["/bin/bash", "-c", f'. "{state}"\nexec {text}']
            child = subprocess.Popen(argv, cwd=self.folder, env=dict(self.environment), stdout=out, stderr=out)
        self.running[text] = child
        self.said.append((text, ""))
        port = self._port_of(text)
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline and child.poll() is None:
            if port is None and b"READY" in log.read_bytes():
                return
            if port is not None:
                with socket.socket() as sock:
                    if sock.connect_ex(("127.0.0.1", port)) == 0:
                        return
            time.sleep(0.05)
        raise AssertionError(f"$ {text}\n{log.read_text(errors='replace')}")

    def _stop(self, text: str) -> None:
        child = self.running.pop(text)
        child.send_signal(signal.SIGINT)
        assert child.wait(20) in (0, 130, -signal.SIGINT)

    def _port_of(self, text: str) -> int | None:
        """Where a broker listens; None for a relay."""
        found = re.search(r"-c (\S+)", text)
        if found is None:
            return None
        state = (self.folder / "state").read_text()
        inside = re.search(r"cd '(.*)'", state)
        assert inside is not None
        lines = (Path(inside.group(1)) / found.group(1)).read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("listener "))


def environment(program: Path) -> dict[str, str]:
    """A person's environment, in English, with `relay` on the path."""
    given = {name: value for name, value in os.environ.items() if not name.startswith("RELAY_")}
    path = f"{program}:{given.get('PATH', '')}:/usr/sbin:/usr/local/sbin"
    return {**given, "PATH": path, "LANG": "C.UTF-8", "RELAY_LANG": "en"}
