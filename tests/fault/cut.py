"""A script that is cut short by a signal tidies up before it ends: daemons and jobs would outlive it, and disks of theirs.

    cut.heed()               from here on such a signal is a SystemExit, with the status of shells
    with cut.held(): ...     what must not be cut itself: the signal comes when that is over
"""
import contextlib
import signal
import threading

SIGNALS = signal.SIGINT, signal.SIGTERM, signal.SIGHUP

state = {"holds": 0, "came": None}


def end_if_asked():
    if state["holds"] == 0 and state["came"] is not None:
        number, state["came"] = state["came"], None
        raise SystemExit(128 + number)


def on_signal(number, _):
    if state["came"] is None:
        state["came"] = number
    end_if_asked()


def heed():
    """Not of what is ignored, as by nohup."""
    if threading.current_thread() is threading.main_thread():
        for number in SIGNALS:
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, on_signal)


@contextlib.contextmanager
def held():
    state["holds"] += 1
    try:
        yield
    finally:
        state["holds"] -= 1
    end_if_asked()
