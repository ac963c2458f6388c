"""A session's targets on live servers: what joins `serving` with a session's store and tolerance."""

from __future__ import annotations

import contextlib
import sys
import tempfile
from abc import ABC, abstractmethod
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..engine.engine import Engine
from ..errors import PackageError, RequestError, unknown
from ..plan import Source, infer
from ..types.measure import Accuracy, Verdict
from ..types.outcome import Product
from ..types.served import LoadTest, Replay
from ..types.step import Step
from ..types.target import Target
from . import packaging
from .explored import Explored
from .serving import Asked, Served, open_served, replayed

if TYPE_CHECKING:
    from ..types.request import Request
    from .job import Job


class Live(Explored, ABC):
    """The part of a `Session` that has to do with servers."""

    engine: Engine
    source: Source
    job: Job | None
    request: Request | None
    _steps: tuple[Step, ...]

    def serve(self, target: Any = None, repository: str | Path | None = None, **how: Any) -> Served:
        """A target on a live Triton server, byte for byte as it is exported; its samples are sent.

        Use it in ``with``: the server ends with the block. ``.replay`` says whether the answers, over
        HTTP and gRPC, are the reference's within this session's tolerance.

        Args:
            target: its text form; by default the choice.
            repository: one that holds the target already, exported by `package`; by default the
                target is exported to a folder that goes with the server.
            how: ``name`` on the server; what `navigator_lab.session.serving.Asked` has (``url``,
                ``protocols``, ``timeout_s``…); the rest are options of `package`.

        Raises:
            PackageError: it can't be exported, or the server refuses it, in the server's words.
            NavigatorError: there is no server, or it doesn't come up.
        """
        return serve(self, target, repository, **how)

    def replay(
        self, target: Any = None, repository: str | Path | None = None, **how: Any
    ) -> Replay:
        """Serve a target, send its samples, stop the server: `serve` in one."""
        with self.serve(target, repository, **how) as served:
            assert served.replay is not None
            return served.replay

    def load_test(self, target: Any = None, **how: Any) -> LoadTest:
        """Load on a live server: how fast it answers, and how much it can take.

        Latency counts from when each request was meant to leave. The result is kept with the run:
        the Pareto view shows its points as "served".

        Args:
            target: its text form, by default the choice; or what `serve` gave, which stays up.
            how: see `navigator_lab.session.loading.load_test`: ``concurrency`` or ``rate`` or
                ``p99_ms`` or ``sweep``, ``request_batch``, ``seconds`` or ``count``; the rest are
                arguments of `serve`.
        """
        from .loading import LOAD, load_test

        own = {name: how.pop(name) for name in list(how) if name in LOAD}
        if isinstance(target, Served):
            if how:
                raise unknown("argument", next(iter(how)), LOAD)
            made = load_test(target, **own)
        else:
            with self.serve(target, send=False, say=own.get("say"), **how) as served:
                made = load_test(served, **own)
        self.run_data = replace(self.run_data, loads=(*self.run_data.loads, made))
        self._save()
        return made

    @abstractmethod
    def _save(self) -> None:
        """Keep the run as it is now."""

    def reference_answers(self) -> Product:
        """What the source itself answers on the samples: from the store, or run now."""
        for step in self._steps:
            given = dict(step.inputs).get("reference")
            if isinstance(given, Step):
                return packaging.settled(self.engine, given)
        source = self.source
        batch = self.request.batch if self.request else 4
        step = infer(source, source.reference, source.model, batch, {}, True)
        return packaging.settled(self.engine, step)


def serve(
    session: Live,
    target: Any = None,
    repository: str | Path | None = None,
    *,
    name: str | None = None,
    **how: Any,
) -> Served:
    """A target of a session on a live server.

    Args:
        target: its text form; None: the choice.
        repository: where it was exported to; None: it is exported for this.
        name: of the model on the server; the session's by default.
        how: `navigator_lab.session.serving.Asked`: ``url``, ``grpc``, ``which``, ``protocols``,
            ``send``, ``timeout_s``, ``say`` (by default only the first setting up of a server is
            printed); the rest are options of `Session.package`, where it is exported for this.
    """
    options = dict(how)
    asked = Asked.taken(options, say=first_time)
    say = asked.say
    if session.job is not None and not session.job.done:
        raise RequestError("a run of this session is under way", "await it, or lab.cancel()")
    wanted = str(target) if target is not None else session.choose().target
    parsed = Target.parse(wanted)
    model = name or session.name
    stack = contextlib.ExitStack()
    try:
        if repository is None:
            root = Path(
                stack.enter_context(tempfile.TemporaryDirectory(prefix="navigator-lab-export-"))
            )
            say(f"exporting {wanted}")
            session.package(wanted, root, name=model, **options)
        elif options:
            raise RequestError(
                f"{', '.join(options)}: options of the package, which lies in {repository} already"
            )
        else:
            root = Path(repository)
        if asked.url is None and not (root / model).is_dir():
            raise PackageError(
                f"{root} holds no model {model!r}", f"lab.package({wanted!r}, {str(root)!r})"
            )

        def samples(folder: Path) -> Product:
            found = session.engine.store.product(session.run_data.samples_digest)
            if found is None:
                raise PackageError("the samples are no longer in the workspace", "open it again")
            return found

        served = open_served(root, model, samples, stack, asked, parsed)
        if asked.send:

            def judged(found: Accuracy) -> Verdict:
                return session._judge(parsed, found)

            batch = session.request.batch if session.request else 4
            replayed(
                served, session.reference_answers(), judged, protocols=asked.protocols,
                batch=batch, say=say,
            )  # fmt: skip
    except BaseException:  # an interrupt, too: no server is left behind
        stack.close()
        raise
    return served


def first_time(text: str) -> None:
    """Say on stderr that a server is being brought, which takes a while, and nothing else."""
    if text.startswith("bringing"):
        sys.stderr.write(f"\r{text}")
        sys.stderr.flush()
    elif text.startswith("brought"):
        sys.stderr.write("\n")
