"""What the test servers have in common: how they say that they are ready, and how they end.

A launcher prints one line of JSON when its server answers, then lives as long as its standard input is open. The pipe closes
when the test process ends, in whatever way: by itself, by a panic, by SIGKILL. So no server outlives its tests, and nobody has
to remember to stop one. Everything a server writes lies in one temporary folder, which goes with it.
"""

import contextlib
import json
import os
import queue
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time


released = threading.Event()
asked = queue.SimpleQueue()


class NotStarted(Exception):
    """The server ended, or did not answer in time. The message holds the end of its log."""


def announce(**facts):
    """Tells the test process that the server is ready, and where."""
    print(json.dumps(facts), flush=True)


def listen():
    """Reads standard input from now on, so that its end is noticed at any time, also while a server is still starting."""

    def read():
        for line in sys.stdin:
            asked.put(line.strip())
        released.set()
        asked.put(None)

    threading.Thread(target=read, daemon=True).start()


def commands():
    """The lines of standard input, one by one, until the test process lets go."""
    return iter(asked.get, None)


def hold(still_running=lambda: True):
    """Returns when the test process lets go, or when the server has ended by itself."""
    while still_running() and not released.wait(0.2):
        pass


@contextlib.contextmanager
def folder(name):
    """A temporary folder for everything that the server writes; removed at the end.

    A Ctrl-C at the terminal goes to the whole foreground; the launcher ignores it, since the pipe tells it when to end.
    SIGTERM ends it in order.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    listen()
    path = tempfile.mkdtemp(prefix=f"rampkeeper-{name}-")
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def free_port():
    """A port that was free a moment ago. Another process can take it first: whoever uses it must be able to try again."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def start(command, log, **options):
    """Starts a server in a process group of its own, with nothing to read and its output in the file `log`."""
    with open(log, "ab") as output:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            **options,
        )


def wait_until(ready, process, log, seconds):
    """Waits until `ready()` returns something true, and returns it."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if released.is_set():
            raise NotStarted("the test process has gone")
        if process.poll() is not None:
            raise NotStarted(f"{process.args[0]} ended with {process.returncode}:\n{tail(log)}")
        answer = ready()
        if answer:
            return answer
        time.sleep(0.05)
    raise NotStarted(f"{process.args[0]} did not answer within {seconds} s:\n{tail(log)}")


def stop(process, first=signal.SIGTERM, seconds=10):
    """Ends a server and whatever it started: politely, and after `seconds` for certain."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(process.pid, first)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(seconds)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def tail(log):
    """The end of a server's log, for a message."""
    with open(log, errors="replace") as lines:
        return "".join(lines.readlines()[-30:])
