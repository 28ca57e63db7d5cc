"""Disks whose power can be cut: ext4 on a loop device, shut down by ioctl without writing its journal.

EXT4_IOC_SHUTDOWN with NOLOGFLUSH is what ext4's own crash tests use: from that instant nothing reaches the device any
more, whatever lies in the page cache; after an unmount and a mount only what was flushed is there. It does not tear
sectors and does not model a disk that lies about its flushes.
"""

import fcntl
import os
import shutil
import struct
import subprocess
import time
from pathlib import Path

SHUTDOWN = 0x8004587D
"""_IOR('X', 125, __u32), linux/fs/ext4/ext4.h."""
NO_LOG_FLUSH = 2
IMAGE_BYTES = 96 * 2**20
UNMOUNT_S = 20


def why_not() -> str:
    """Why no disk can be made here, or nothing."""
    if os.geteuid() != 0:
        return "power cuts need root"
    if not Path("/dev/loop-control").exists():
        return "power cuts need loop devices"
    missing = [tool for tool in ("mkfs.ext4", "mount", "umount") if shutil.which(tool, path=_path()) is None]
    return f"power cuts need {missing}" if missing else ""


def _path() -> str:
    return os.environ.get("PATH", "") + os.pathsep + "/usr/sbin" + os.pathsep + "/sbin"


def _run(*argv: str) -> None:
    done = subprocess.run(argv, capture_output=True, text=True, check=False, env=os.environ | {"PATH": _path()})
    assert done.returncode == 0, f"{argv}: {done.stderr}"


class Disk:
    """A file system of its own over one folder, which keeps its content."""

    def __init__(self, folder: Path, image: Path) -> None:
        self.folder = folder
        self._image = image
        self._handle = -1
        before = folder.with_name(folder.name + ".before")
        folder.rename(before)
        folder.mkdir(mode=0o700)
        with image.open("wb") as file:
            file.truncate(IMAGE_BYTES)
        _run("mkfs.ext4", "-q", "-F", "-m", "0", str(image))
        self.mount()
        shutil.copytree(before, folder, symlinks=True, dirs_exist_ok=True)
        shutil.copystat(before, folder)
        shutil.rmtree(before)
        os.sync()

    def mount(self) -> None:
        """Mount, which replays the journal, as a machine does when the power is back."""
        _run("mount", "-o", "loop", str(self._image), str(self.folder))
        if not self._lives():
            # Somebody made a mount namespace meanwhile (`ip netns exec` does) and holds the dead file system in it:
            # the same device gives the same dead file system. What reached the device goes on from a copy of it.
            self.unmount()
            successor = self._image.with_name(self._image.name + "+")
            shutil.copyfile(self._image, successor)
            self._image = successor
            _run("mount", "-o", "loop", str(self._image), str(self.folder))
            assert self._lives(), f"{self.folder} is not usable after a mount"
        self._handle = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY)

    def _lives(self) -> bool:
        """Whether something can be written."""
        probe = self.folder / ".lives"
        try:
            probe.touch()
            probe.unlink()
        except OSError:
            return False
        return True

    def cut(self) -> None:
        """The power fails now; see above for who must be frozen before."""
        fcntl.ioctl(self._handle, SHUTDOWN, struct.pack("I", NO_LOG_FLUSH))

    def unmount(self) -> None:
        """Whoever used it must have ended; the kernel may take a moment to believe it."""
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1
        deadline_s = time.monotonic() + UNMOUNT_S
        while True:
            try:
                _run("umount", str(self.folder))
            except AssertionError:
                if time.monotonic() > deadline_s:
                    raise
                time.sleep(0.02)
            else:
                return
