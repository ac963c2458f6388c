"""A plug-in that does what plug-ins should not: for the tests of the wall."""

import os
import signal
import sys
import time

from navigator_lab.types.plugin import action


@action("hostile: fine")
def fine(at):
    """Works."""
    print("this goes to the log")
    (at.out / "made.txt").write_text("made")
    at.say("half", 0.5)
    return {"pid": 0}


@action("hostile: segfault")
def segfault(at):
    """Dies by a signal."""
    os.kill(os.getpid(), signal.SIGSEGV)
    time.sleep(60)


@action("hostile: exits")
def exits(at):
    """Leaves without a word."""
    os._exit(7)


@action("hostile: hangs", timeout_s=1.0)
def hangs(at):
    """Never answers, and swallows what it can."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    while True:
        time.sleep(1)


@action("hostile: eats")
def eats(at):
    """Takes memory until somebody ends it."""
    kept = []
    while True:
        kept.append(bytearray(b"x" * (64 << 20)))
        time.sleep(0.05)


@action("hostile: garbage")
def garbage(at):
    """Prints what looks like messages, and writes to descriptors that are not its own."""
    print('{"done": "a lie"}')
    sys.stderr.write("\x00\xff garbage\n")
    for number in range(3, 256):
        try:
            os.write(number, b"\x00not json\n")
        except OSError:
            continue
    time.sleep(30)


@action("hostile: link")
def link(at):
    """Leaves a link that leads out of its folder."""
    (at.out / "passwd").symlink_to("/etc/passwd")


@action("hostile: raises")
def raises(at):
    """Fails with an error that knows its remedy."""
    error = ValueError("the answer is 43")
    error.remedy = "ask another question"
    raise error


@action("hostile: unsayable")
def unsayable(at):
    """Returns what JSON can't say."""
    return object()


@action("hostile: lacks", needs=("a-package-that-nobody-made",))
def lacks(at):
    """Needs what isn't there."""


@action("hostile: sleeps")
def sleeps(at):
    """Takes a minute, and so does what it forked."""
    if os.fork() == 0:
        time.sleep(60)
        os._exit(0)
    at.say("forked")
    time.sleep(60)


@action("hostile: turns", measures=True, fresh=True)
def turns(at):
    """Measures in turn: notes when it had the machine."""
    spans = []
    for _ in range(4):
        at.turn()
        begun = time.monotonic()
        while time.monotonic() - begun < 0.05:
            pass
        spans.append([begun, time.monotonic()])
    return {"spans": spans}


@action("hostile: forks")
def forks(at):
    """Leaves a child behind that never ends, and dies: libraries that report home do so."""
    child = os.fork()
    if not child:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        time.sleep(600)
        os._exit(0)
    print(f"child {child}", flush=True)
    os._exit(9)
