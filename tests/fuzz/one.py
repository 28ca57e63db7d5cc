"""One target under atheris, in a process of its own: `python -m tests.fuzz.one TARGET [libFuzzer's arguments]`."""

import contextlib
import io
import logging
import sys
import warnings

import atheris

# What is instrumented must be imported here first; the libraries beside it are not ours to cover.
with atheris.instrument_imports(include=["protocol", "keys", "config", "relay"], enable_loader_override=False):
    from tests.fuzz.targets import TARGETS, total


def main() -> None:
    """Fuzz until libFuzzer's limits are reached; an exception is a crash, whose bytes it writes to a file."""
    target = TARGETS[sys.argv[1]]
    logging.disable(logging.CRITICAL)
    warnings.simplefilter("error", ResourceWarning)

    def once(data: bytes) -> None:
        with contextlib.redirect_stdout(io.StringIO()):
            total(target, data)

    atheris.Setup([sys.argv[0], *sys.argv[2:]], once)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
