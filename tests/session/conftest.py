"""An interpreter beside ours, for the tests of environments."""

import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

import navigator_lab as nav


@pytest.fixture(scope="session")
def other(tmp_path_factory):
    """A virtual environment that sees our packages, and one more that we don't."""
    home = tmp_path_factory.mktemp("environment")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", home], check=True)
    python = home / "bin" / "python"
    asked = "import sysconfig; print(sysconfig.get_path('purelib'))"
    made = subprocess.run([python, "-c", asked], capture_output=True, text=True, check=True)
    site = Path(made.stdout.strip())
    root = Path(nav.__file__).parents[1]
    (site / "shared.pth").write_text(f"{sysconfig.get_path('purelib')}\n{root}\n")
    info = site / "only_there-1.2.3.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: only-there\nVersion: 1.2.3\n")
    return python
