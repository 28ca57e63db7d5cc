"""Tokens made of software (SoftHSM2, Debian's package softhsm2), each in a folder of its own."""

import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

MODULE: Final = "/usr/lib/softhsm/libsofthsm2.so"
LABEL: Final = "yizhan"
PIN: Final = "8246137905"


@dataclass(frozen=True, slots=True)
class SoftToken:
    """A token in `folder`, found by programs that run in `environment`."""

    folder: Path

    @property
    def environment(self) -> Mapping[str, str]:
        return {"SOFTHSM2_CONF": str(self.folder / "softhsm2.conf")}

    def pull(self) -> None:
        """Out of its slot, while programs have it open."""
        (self.folder / "tokens").rename(self.folder / "pulled")
        (self.folder / "tokens").mkdir()

    def plug(self) -> None:
        (self.folder / "tokens").rmdir()
        (self.folder / "pulled").rename(self.folder / "tokens")


def make_token(folder: Path) -> SoftToken:
    """A new token with PIN `PIN` and label `LABEL`."""
    (folder / "tokens").mkdir(parents=True)
    lines = [f"directories.tokendir = {folder / 'tokens'}", "objectstore.backend = file", "log.level = ERROR"]
    (folder / "softhsm2.conf").write_text("\n".join(lines) + "\n")
    token = SoftToken(folder)
    argv = ["softhsm2-util", "--init-token", "--free", "--label", LABEL, "--so-pin", "13572468", "--pin", PIN]
    subprocess.run(argv, check=True, capture_output=True, env={**os.environ, **token.environment})
    return token
