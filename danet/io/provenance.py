"""Where a number comes from: package versions and the state of the checkout."""

import platform
import subprocess
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PACKAGES = ("danet", "torch", "numpy", "pandas", "h5py", "pyarrow", "numba", "snakemake")


def versions() -> dict[str, str]:
    """Python's version and those of the packages that results depend on, as far as they are installed."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        with suppress(PackageNotFoundError):
            found[package] = version(package)
    return found


def git_state() -> dict[str, str | bool | None]:
    """The commit of this checkout, and whether anything differs from it; None for both outside of one."""
    commit = _git("rev-parse", "HEAD")
    return {"commit": commit, "dirty": None if commit is None else bool(_git("status", "--porcelain"))}


def _git(*arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ("git", *arguments), cwd=Path(__file__).parent, capture_output=True, text=True, timeout=20, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
