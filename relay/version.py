"""The version of this program, for `relay version`, `status` and the API."""

import tomllib
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed
from pathlib import Path


def program_version() -> str:
    """The version of the installed package, or that of the source tree it runs from."""
    try:
        return installed("yizhan")
    except PackageNotFoundError:
        return _source_version()


def _source_version() -> str:
    try:
        project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text("utf-8"))
        return f"{project['project']['version']}+source"
    except (OSError, ValueError, KeyError):
        return "unknown"
