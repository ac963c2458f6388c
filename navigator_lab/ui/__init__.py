"""Where a user touches: the magic, the dashboard, the notebooks. IPython and widgets live only here.

Nothing is decided here: a gesture becomes the call of a session, which is what "copy as Python"
shows. ``%load_ext navigator_lab`` brings the magic.
"""

from __future__ import annotations

from typing import Any


def load_ipython_extension(shell: Any) -> None:
    """Bring ``%navigator`` and its completions."""
    from .magic import load

    load(shell)


def unload_ipython_extension(shell: Any) -> None:
    """Take them away again."""
    from .magic import unload

    unload(shell)
