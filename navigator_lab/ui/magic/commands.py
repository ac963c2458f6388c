"""What each command of the magic does: the call of a session, and how its result is shown."""

from __future__ import annotations

import argparse
import os
from collections import Counter
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from ...errors import RequestError, unknown
from ...session import Followed, Job, Session, attach, explore, load
from ...types.request import STAGES
from ..live import Live
from .arguments import Parser, parser
from .cell import defined
from .current import Current
from .reading import Reading
from .serving import Serving

_WHICH = ("formats", "precisions", "runners", "devices", "targets")
_HOW = ("batches", "max_batch", "seconds", "timeout_s")
_SAYS = ("save", "package")  # commands that say what they made: no value is shown beside it
_KINDS = {"compare": "correctness", "infer": "infer", "reference": "infer"}


class Commands(Serving, Reading):
    """Called with a line, and the body of a cell if there is one."""

    def __init__(self, shell: Any) -> None:
        self.current = Current(shell)
        self.shell = shell
        self.tree: Parser = parser()
        self.dark = False  # draw for a dark ground

    def __call__(self, line: str, cell: str | None = None) -> Any:
        from IPython.utils._process_common import arg_split

        asked = self.tree.parse_args(arg_split(line, posix=True))
        self.dark = getattr(asked, "dark", False)
        if cell is not None and asked.command != "verify":
            raise RequestError(
                f"a cell under %%navigator {asked.command or ''}".rstrip() + " means nothing",
                "%%navigator verify takes one; else use a single %",
            )
        do = getattr(self, f"do_{(asked.command or 'panel').replace('-', '_')}", None)
        made = self.stage(asked, cell) if do is None else do(asked)
        if getattr(asked, "out", None):
            if not asked.out.isidentifier():
                raise RequestError(f"-o {asked.out!r} is no name of a variable")
            self.shell.user_ns[asked.out] = made
        return None if asked.command in _SAYS or asked.side else made

    # the session

    def do_panel(self, asked: argparse.Namespace) -> Any:
        """The dashboard of the current session, or one to open a model in; results where widgets
        are missing."""
        session = self.current.find()
        if session is None and (wanted := asked_by_address()):
            session = attach(wanted)
            self.current.take(session)
        try:
            from ..dashboard import Dashboard
        except ModuleNotFoundError as error:
            print(  # noqa: T201
                f"the dashboard needs {error.name}: pip install 'navigator-lab[notebook]'; "
                "the results as a table:"
            )
            return self.current.get().results
        self.current.panel = Dashboard(session)
        if asked.side:
            self.current.panel.aside()
        return self.current.panel

    def do_open(self, asked: argparse.Namespace) -> Session:
        model = self.current.value(asked.model, "the model")
        samples = self.current.value(asked.samples, "the samples")
        more = {"batch_axis": None} if asked.no_batch else {}
        session = explore(
            model, samples, name=asked.name or _plain(asked.model), workspace=asked.workspace,
            input_names=asked.inputs, output_names=asked.outputs, plugins=asked.plugins,
            trust=asked.trust, signature=asked.signature, environments=asked.environments, **more,
        )  # fmt: skip
        self.current.take(session)
        return session

    def do_use(self, asked: argparse.Namespace) -> Any:
        from ...session import Explored

        session = self.current.value(asked.session, "the session")
        if not isinstance(session, Explored):
            raise RequestError(
                f"{asked.session} is no session but a {type(session).__name__}",
                f"{asked.session} = nav.explore(model, samples)",
            )
        self.current.take(session)
        return session

    def do_save(self, asked: argparse.Namespace) -> Path:
        path = self.current.live().save(asked.file)
        print(f"saved as {path}: nav.load({str(path)!r}) reads it anywhere")  # noqa: T201
        return path

    def do_load(self, asked: argparse.Namespace) -> Any:
        session = load(asked.file)
        self.current.take(session)
        return session

    def do_attach(self, asked: argparse.Namespace) -> Any:
        session = attach(asked.id, asked.workspace)
        self.current.take(session)
        return session

    def do_targets(self, asked: argparse.Namespace) -> Any:
        from ...views.targets import Targets

        found = self.current.live().targets
        states = list(found)
        for option, part in (
            ("formats", "format"), ("precisions", "precision"), ("runners", "runner"),
            ("devices", "device"),
        ):  # fmt: skip
            wanted = getattr(asked, option)
            known = dict.fromkeys(str(getattr(s.target, part)) for s in found)
            for name in wanted or ():
                if name not in known:
                    raise unknown(part, name, known)
            states = [s for s in states if not wanted or str(getattr(s.target, part)) in wanted]
        for name in asked.targets or ():
            if name not in [str(s) for s in found]:
                raise unknown("target", name, [str(s) for s in found])
        states = [s for s in states if not asked.targets or str(s) in asked.targets]
        return Targets(states, dict(found.broken))

    # stages

    def stage(self, asked: argparse.Namespace, cell: str | None) -> Any:
        """One stage, watched until it is done; what it still needs runs before it."""
        session = self.current.live()
        metric = None
        if cell is not None:
            metric = defined(self.shell, cell)
        elif getattr(asked, "metric", None):
            metric = self.current.function(asked.metric)
        job = self._start(session, asked, asked.command, metric)
        if not self._watch(job, f"{asked.command} {session.name}"):
            return job
        return job.wait(0)

    def do_run(self, asked: argparse.Namespace) -> Job:
        session = self.current.live()
        metric = self.current.function(asked.metric) if asked.metric else None
        job = self._start(session, asked, asked.until, metric)
        if self._in_notebook():
            Live(job, f"until {asked.until}, {session.name}").pump()
        return job

    def _start(self, session: Session, asked: argparse.Namespace, until: str, metric: Any) -> Job:
        if session.job is not None and not session.job.done:
            raise RequestError(
                f"a job is under way ({session.job!r})",
                "%navigator wait attaches to it, %navigator cancel ends it",
            )
        which = {n: v for n in _WHICH if (v := getattr(asked, n))}
        how = {n: v for n in _HOW if (v := getattr(asked, n)) is not None}
        kept = {**self.current.how, **how}
        recalled = {n: v for n, v in self.current.how.items() if n not in how}
        if not which and self.current.selection:
            which = self.current.selection
            recalled = {**which, **recalled}
        if recalled:
            print(f"as said last: {_options(recalled)}")  # noqa: T201
        once = {"retry_failed": True} if asked.retry_failed else {}
        wanted = {**which, **kept, **once, "until": until}
        if metric is not None:
            wanted["verify"] = metric
        preview = session.preview(**wanted)
        self._announce(until, preview)
        job = session.start(**wanted)
        self.current.selection, self.current.how = which, kept
        return job

    def _announce(self, until: str, preview: Any) -> None:
        """What it will do, and which earlier stages it runs first because they are not done."""
        print(f"{until}: {preview}")  # noqa: T201
        kinds = Counter(_kind(f.step) for f in preview.to_run)
        own = "build" if until in ("export", "convert") else until
        first = {k: n for k, n in kinds.items() if k != own}
        if first and own in kinds:
            said = ", ".join(f"{n} {k}" for k, n in first.items())
            print(f"  runs first what it still needs: {said}")  # noqa: T201

    def _in_notebook(self) -> bool:
        return not hasattr(self.shell, "simple_prompt")  # a terminal's shell has one

    def _watch(self, job: Job, title: str) -> bool:
        """Show a job until it is done; False if the user interrupted and it goes on."""
        if self._in_notebook():
            return Live(job, title).follow()
        from ...session.progress import shown

        try:
            with shown(job, None):
                job.wait()
        except KeyboardInterrupt:
            print(  # noqa: T201
                "detached: the job goes on. %navigator wait attaches again, "
                "%navigator cancel ends it"
            )
            return False
        return True

    def _job(self) -> Any:
        session = self.current.get()
        job = (session if isinstance(session, Followed) else self.current.live()).job
        if job is None:
            raise RequestError("no job was started", "%navigator run --until profile starts one")
        return job

    def do_status(self, asked: argparse.Namespace) -> None:
        print(repr(self._job()))  # noqa: T201

    def do_wait(self, asked: argparse.Namespace) -> Any:
        job = self._job()
        if not self._watch(job, self.current.get().name):
            return job
        return job.wait(0)

    def do_cancel(self, asked: argparse.Namespace) -> None:
        job = self._job()
        if job.done:
            print("there is nothing to cancel: the job is done")  # noqa: T201
            return
        job.cancel()
        print("cancelled: what ran was ended, finished steps are kept")  # noqa: T201

    # packaging

    def do_package(self, asked: argparse.Namespace) -> Path | str:
        session = self.current.get()
        target = asked.target
        if target is None:
            if self.current.best is None:
                self.current.best = session.choose()
            target = self.current.best.target
        elif target not in [str(t.target) for t in session.run_data.targets]:
            names = [str(t.target) for t in session.run_data.targets]
            raise unknown("target", target, names)
        named = {"name": asked.name} if asked.name else {}
        folder = session.package(
            target, asked.directory, version=asked.version, overwrite=asked.overwrite, **named
        )
        print(f"{target} is in {folder}")  # noqa: T201
        print(f"  tritonserver --model-repository={Path(asked.directory).absolute()}")  # noqa: T201
        return folder


def asked_by_address() -> str:
    """The run that a page's address names: ``dashboard?run=ID`` under Voilà, which tells it so."""
    return parse_qs(os.environ.get("QUERY_STRING", "")).get("run", [""])[0]


def _options(given: dict[str, Any]) -> str:
    """As one types them: ``--formats onnx,openvino --max-batch 8``."""
    said = []
    for name, value in given.items():
        option = "timeout" if name == "timeout_s" else name.replace("_", "-")
        text = ",".join(map(str, value)) if isinstance(value, list) else str(value)
        said.append(f"--{option} {text}")
    return " ".join(said)


def _kind(step: str) -> str:
    word = step.partition(" ")[0]
    return _KINDS.get(word, word if word in STAGES else "build")


def _plain(text: str) -> str | None:
    """A variable's name is a good name for the model; a path's is found from the file."""
    return text if text.isidentifier() else None
