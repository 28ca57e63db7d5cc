"""Without the extra `gm` tests that need it are left out; in CI only where there is no wheel for the machine."""

import importlib.util
import os
import platform

import pytest

needs_gm = pytest.mark.skipif(
    importlib.util.find_spec("gmssl_pyx") is None and not (os.environ.get("CI") and platform.machine() == "x86_64"),
    reason="needs the extra gm",
)
