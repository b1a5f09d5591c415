"""What hangs, and a deadline that is over as soon as somebody waits for it: no test waits for a clock."""

from __future__ import annotations

import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from tests.unit.mwaa_server import MwaaServer


def let_the_deadline_be_over() -> None:
    """Tell the main thread what the timer of `jetway.http.deadline` tells it, from whatever thread."""
    ident = threading.main_thread().ident
    assert ident is not None
    assert callable(signal.getsignal(signal.SIGALRM)), "no deadline is set: the signal would end the process"
    signal.pthread_kill(ident, signal.SIGALRM)


def hang(mwaa: MwaaServer) -> tuple[int, object]:
    """Answer a request of Airflow's API never; meanwhile the deadline is over."""
    let_the_deadline_be_over()
    assert mwaa.release.wait(600), "nobody waits for it"
    return 404, {}


@contextmanager
def hanging_server() -> Iterator[str]:
    """The URL of a server that takes a request and never answers it; meanwhile the deadline is over."""
    taken: list[socket.socket] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            with suppress(OSError):  # the server is closed
                connection, _ = server.accept()
                taken.append(connection)
                connection.recv(1)
                let_the_deadline_be_over()

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
    assert taken, "nobody has asked it"
    thread.join()
    taken[0].close()
