"""What a plug-in file declares. Nothing registers itself: a catalog collects module-level values.

A plug-in for a format holds a `Format` and its edges; one for a runtime a `Runner`; one for a
stage an `Action`. From what they declare follow planning, caching, isolation, a row with its
reason, a form in the dashboard and the contract tests.
"""

from ..options import option, options_known, options_of, with_settings
from ..target import CPU, Device, Precision, Target, Variant
from .declared import Action, Edge, Format, Proposal, Reading, Runner, TritonBackend
from .declaring import action, edge, runner
from .machine import Gpu, Host, Unavailable, alternatives, old_enough
from .running import At, Opening, Plain, Running

__all__ = [
    "CPU",
    "Action",
    "At",
    "Device",
    "Edge",
    "Format",
    "Gpu",
    "Host",
    "Opening",
    "Plain",
    "Precision",
    "Proposal",
    "Reading",
    "Runner",
    "Running",
    "Target",
    "TritonBackend",
    "Unavailable",
    "Variant",
    "action",
    "alternatives",
    "edge",
    "old_enough",
    "option",
    "options_known",
    "options_of",
    "runner",
    "with_settings",
]
