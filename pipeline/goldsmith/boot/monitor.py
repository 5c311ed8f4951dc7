"""QMP, QEMU's monitor, for code that is not asynchronous."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import socket
import threading
from collections import deque
from collections.abc import Coroutine
from typing import Any, NamedTuple, TypeVar, cast

from qemu.qmp import QMPClient, QMPError
from qemu.qmp.qmp_client import ExecuteError

from goldsmith.errors import DeadlineError, HarnessError

T = TypeVar("T")

#: events kept in memory
KEPT_EVENTS = 1000
#: seconds within which all resets are one start of the machine
_ONE_START = 0.5


class Event(NamedTuple):
    """What QEMU told unasked, and when: ``seconds`` since the epoch by the host's clock."""

    name: str
    data: dict[str, Any]
    seconds: float


class Monitor:
    """A QMP session over a connected socket; its event loop runs in a thread of its own.

    Every call is bounded; a call that passes its deadline leaves the session usable.
    """

    def __init__(self, connection: socket.socket, *, seconds: float) -> None:
        self._seconds = seconds
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="qmp", daemon=True)
        self._thread.start()
        self._events: deque[Event] = deque(maxlen=KEPT_EVENTS)
        try:
            self._client, self._listening = self._wait(self._connect(connection), "QEMU's monitor did not answer")
        except BaseException:
            connection.close()
            self._stop()
            raise

    async def _connect(self, connection: socket.socket) -> tuple[QMPClient, asyncio.Task[None]]:
        client = QMPClient("goldsmith")
        try:
            await client.connect(connection)
        except QMPError as error:
            raise HarnessError(f"QEMU's monitor: {error}") from error
        return client, asyncio.create_task(self._listen(client))

    async def _listen(self, client: QMPClient) -> None:
        async for event in client.events:
            data, stamp = event.get("data"), cast(dict[str, int], event["timestamp"])
            seconds = stamp["seconds"] + stamp["microseconds"] / 1e6
            self._events.append(Event(str(event["event"]), dict(data) if isinstance(data, dict) else {}, seconds))

    def _wait(self, work: Coroutine[Any, Any, T], what: str, seconds: float | None = None) -> T:
        limit = self._seconds if seconds is None else seconds
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result(timeout=limit)
        except concurrent.futures.TimeoutError:
            future.cancel()
            raise DeadlineError(what, limit) from None

    @property
    def events(self) -> list[Event]:
        """The events so far, oldest first."""
        return list(self._events)

    def resets(self) -> int:
        """How often the machine started over.

        SeaBIOS, which finds that it ran before, presses the button again and again until a press takes effect
        (its ``tryReboot``; five presses were seen): what follows within half a second is the same start.
        """
        counted, last = 0, -_ONE_START
        for event in self._events.copy():
            if event.name == "RESET" and event.seconds >= last + _ONE_START:
                counted, last = counted + 1, event.seconds
        return counted

    def execute(self, command: str, arguments: dict[str, Any] | None = None, *, seconds: float | None = None) -> Any:
        """The answer to a QMP command.  Raises HarnessError where QEMU refuses it or is gone."""

        if self._loop.is_closed():
            raise HarnessError(f"QMP {command}: QEMU is gone")

        async def work() -> object:
            return await self._client.execute(command, arguments)

        try:
            return self._wait(work(), f"QMP {command} was not answered", seconds)
        except ExecuteError as error:
            raise HarnessError(f"QMP {command}: {error}") from error
        except (QMPError, OSError, asyncio.CancelledError, EOFError) as error:
            raise HarnessError(f"QMP {command}: QEMU is gone ({error or type(error).__name__})") from error

    def human(self, line: str, *, seconds: float | None = None) -> str:
        """The text that QEMU's human monitor answers."""
        return str(self.execute("human-monitor-command", {"command-line": line}, seconds=seconds))

    async def _end_tasks(self) -> None:
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _stop(self) -> None:
        # A task that is still pending when its loop goes complains from its destructor.
        with contextlib.suppress(HarnessError):
            self._wait(self._end_tasks(), "QMP did not end", 5)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout=5)
        if not self._thread.is_alive():
            self._loop.close()

    async def _disconnect(self) -> None:
        self._listening.cancel()
        # The session ends badly when QEMU went first, which is how it usually goes.
        with contextlib.suppress(QMPError, OSError, EOFError):
            await self._client.disconnect()

    def close(self) -> None:
        """End the session, not QEMU; safe to call twice."""
        if self._loop.is_closed():
            return
        with contextlib.suppress(HarnessError):
            self._wait(self._disconnect(), "QMP did not close", 5)
        self._stop()
