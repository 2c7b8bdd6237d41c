"""A board served to a browser, and waiting for what the page does."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from retrace.tools.viewing.board import Board
from retrace.tools.viewing.server import free_port, make_app


@contextmanager
def served(board: Board) -> Iterator[str]:
    """The address of a board."""
    import uvicorn

    port = free_port()
    config = uvicorn.Config(make_app(board, ["127.0.0.1"]), host="127.0.0.1", port=port, log_level="error")
    config.timeout_graceful_shutdown = 1
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{port}/"
    server.should_exit = True
    thread.join(10)


def until(driver: Any, script: str, seconds: float = 60) -> Any:
    """What a script gives, once it gives something true."""
    begun = time.monotonic()
    while time.monotonic() - begun < seconds:
        found = driver.execute_script(f"return {script}")
        if found:
            return found
        time.sleep(0.05)
    raise AssertionError(f"{script} stayed false")


def opened(driver: Any, address: str) -> None:
    driver.set_script_timeout(120)
    driver.get(address)
    whole(driver)


def whole(driver: Any) -> None:
    """Everything has come that the page asks for."""
    until(driver, "state.about && document.body.dataset.whole === String(state.about.edits.length)")
