"""Finds what a test leaves behind: processes, threads, channels and sockets.

Importing this module needs psutil, which the ``test`` extra installs.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import socket
import stat
import threading
import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
from grpc._cython import cygrpc  # type: ignore[attr-defined]

# Unreachable garbage is no leak. Collecting it takes long, and most of what is about to
# end has ended before this.
_COLLECT_AFTER_S = 0.05
_MAX_WAIT_S = 0.05
_MAX_COMMAND = 80

# These two processes live as long as the interpreter that started them.
_HELPERS = (
    "from multiprocessing.resource_tracker import main",
    "from multiprocessing.forkserver import main",
)
_UNIX = "unix:"
_ABSTRACT = "unix-abstract:"


@dataclass(frozen=True)
class Owned:
    """What may outlive a test, because others own it."""

    #: Process ids; the children of these processes are owned too.
    processes: frozenset[int] = frozenset()
    #: Threads, including those of the thread pools of servers.
    threads: frozenset[threading.Thread] = frozenset()
    #: ``HOST:PORT`` or ``unix:PATH``, where servers in this process listen. Internet
    #: addresses are compared by their port alone, since a host has many names.
    addresses: frozenset[str] = frozenset()
    #: Numbers of channels, as in `open_channels`.
    channels: frozenset[int] = frozenset()


@dataclass(frozen=True)
class _Socket:
    """An open socket of this process, identified by descriptor and inode."""

    descriptor: int
    inode: int
    #: The address it is bound to; empty if it has none.
    local: str = field(compare=False)
    #: The address of the peer; empty if that has none, None if there is no peer.
    remote: str | None = field(compare=False)
    is_listening: bool = field(compare=False)

    @property
    def is_of_a_pair(self) -> bool:
        """Whether neither end has an address, as after ``socketpair``."""
        return not self.local and self.remote == ""

    def __str__(self) -> str:
        if self.is_listening:
            return f"socket {self.local} is still listening"
        if self.remote:
            start = f"{self.local} " if self.local else ""
            return f"connection {start}to {self.remote} is still open"
        if self.remote is not None:
            return f"connection accepted at {self.local} is still open"
        name = self.local or f"of file descriptor {self.descriptor}"
        return f"socket {name} is still open"


@dataclass(frozen=True)
class Snapshot:
    """Processes, threads, channels and sockets at one moment."""

    processes: frozenset[psutil.Process]
    threads: frozenset[threading.Thread]
    channels: Mapping[int, str]
    sockets: frozenset[_Socket]


def snapshot() -> Snapshot:
    """Return the processes, threads, channels and sockets of this process now."""
    return Snapshot(
        processes=frozenset(psutil.Process().children(recursive=True)),
        # A foreign thread is listed for ever once it has run Python code.
        threads=frozenset(
            thread
            for thread in threading.enumerate()
            if not isinstance(thread, threading._DummyThread)  # noqa: SLF001
        ),
        channels=open_channels(),
        sockets=frozenset(_sockets()),
    )


def left_behind(before: Snapshot, owned: Owned, timeout_s: float = 2.0) -> list[str]:
    """Return one line for each thing that was created since ``before``.

    Args:
        before: What there was before the test.
        owned: What is not reported.
        timeout_s: Seconds to wait for things that are about to end. There is no wait if
            nothing is left.

    Returns:
        The lines. What an open channel or a listening socket explains, such as its
        connections, gets no line of its own.
    """
    start = time.monotonic()
    wait_s = 0.001
    collected = False
    while lines := _excess(before, snapshot(), owned):
        elapsed_s = time.monotonic() - start
        if not collected and elapsed_s >= min(_COLLECT_AFTER_S, timeout_s):
            gc.collect()
            collected = True
            continue
        if elapsed_s >= timeout_s:
            break
        time.sleep(min(wait_s, timeout_s - elapsed_s))
        wait_s = min(2 * wait_s, _MAX_WAIT_S)
    return lines


def open_channels() -> dict[int, str]:
    """Return the target of each open channel by its number.

    gRPC uses a number only once in a process. Channels with the option
    ``grpc.enable_channelz`` set to 0 are not listed.
    """
    channels: dict[int, str] = {}
    is_last = False
    while not is_last:
        page = json.loads(
            cygrpc.channelz_get_top_channels(max(channels, default=-1) + 1)
        )
        for channel in page.get("channel", ()):
            target = channel["data"].get("target", "")
            channels[int(channel["ref"]["channelId"])] = target.removeprefix("dns:///")
        is_last = page.get("end", False)
    return channels


def _excess(before: Snapshot, now: Snapshot, owned: Owned) -> list[str]:
    channels = [
        f"channel to {target} is open"
        for number, target in now.channels.items()
        if number not in before.channels and number not in owned.channels
    ]
    new = now.sockets - before.sockets
    threads = _new_threads(before, now, owned)
    pollers = sum(map(_is_poller, threads))
    has_cause = bool(channels) or any(each.is_listening for each in new)
    return [
        *channels,
        *_processes(now.processes - before.processes, owned.processes),
        *_threads(threads, hide_grpc=has_cause),
        *_unexplained(new, now, owned),
        *_pairs(new, pollers),
    ]


def _processes(found: Iterable[psutil.Process], owned: frozenset[int]) -> list[str]:
    lines = []
    for process in sorted(found, key=lambda process: process.pid):
        # A process that has ended meanwhile is left out.
        with contextlib.suppress(psutil.NoSuchProcess):
            line = _process(process, owned)
            if line:
                lines.append(line)
    return lines


def _process(process: psutil.Process, owned: frozenset[int]) -> str:
    if owned and not owned.isdisjoint(
        each.pid for each in (process, *process.parents())
    ):
        return ""
    if process.status() == psutil.STATUS_ZOMBIE:
        return (
            f"process {process.pid} ({process.name()}) has ended, but nobody has "
            f"waited for it"
        )
    command = process.cmdline()
    if _is_helper(process, command):
        return ""
    line = " ".join([Path(part).name for part in command[:1]] + command[1:])
    if len(line) > _MAX_COMMAND:
        line = f"{line[: _MAX_COMMAND - 1]}…"
    return f"process {process.pid} ({line or process.name()}) still runs"


def _is_helper(process: psutil.Process, command: Sequence[str]) -> bool:
    if not any(part.startswith(_HELPERS) for part in command):
        return False
    # Workers are forks of the fork server and have its command line.
    parent = process.parent()
    return parent is None or parent.cmdline() != command


def _new_threads(
    before: Snapshot, now: Snapshot, owned: Owned
) -> set[threading.Thread]:
    known = before.threads | owned.threads
    # A pool starts threads as it needs them, so a test may make an older pool grow.
    pools = {_pool(thread) for thread in known} - {None}
    return {thread for thread in now.threads - known if _pool(thread) not in pools}


def _threads(found: Collection[threading.Thread], *, hide_grpc: bool) -> list[str]:
    of_grpc = {thread for thread in found if _module(thread).startswith("grpc.")}
    pools = {_pool(thread) for thread in of_grpc} - {None}
    lines = []
    for thread in sorted(found, key=lambda thread: thread.name):
        line = f"thread {thread.name!r} still runs"
        if thread in of_grpc:
            line = (
                f"thread {thread.name!r} of gRPC still runs, for a call or a server "
                f"that is not over?"
            )
        hidden = hide_grpc and (thread in of_grpc or _pool(thread) in pools)
        if not hidden and not _is_poller(thread):
            lines.append(line)
    return lines


def _module(thread: threading.Thread) -> str:
    """Return the module of the function that a thread runs."""
    return getattr(getattr(thread, "_target", None), "__module__", None) or ""


def _function(thread: threading.Thread) -> str:
    return getattr(getattr(thread, "_target", None), "__name__", None) or ""


def _is_poller(thread: threading.Thread) -> bool:
    """Return whether it is the poller that grpc.aio runs while it has objects."""
    return _module(thread).startswith("grpc.") and _function(thread) == "_poll_wrapper"


def _pool(thread: threading.Thread) -> object:
    """Return the pool of a worker thread or of the server that a thread runs."""
    arguments = getattr(thread, "_args", None)
    if not arguments:
        return None
    if _module(thread) == "concurrent.futures.thread":
        return arguments[0]()
    if _module(thread) == "grpc._server" and _function(thread) == "_serve":
        return arguments[0].thread_pool
    return None


def _sockets() -> Iterator[_Socket]:
    for path in Path("/dev/fd").iterdir():
        # Other threads open and close files meanwhile.
        with contextlib.suppress(OSError):
            descriptor = int(path.name)
            status = os.fstat(descriptor)
            if stat.S_ISSOCK(status.st_mode):
                yield _socket(descriptor, status.st_ino)


def _socket(descriptor: int, inode: int) -> _Socket:
    # Closing a duplicate can't close a file that another thread has since opened under
    # the same number.
    duplicate = os.dup(descriptor)
    try:
        is_blocking = os.get_blocking(duplicate)
        each = socket.socket(fileno=duplicate)
    except OSError:
        os.close(duplicate)
        raise
    with each:
        # Python then made the socket non-blocking, and so the original too.
        if socket.getdefaulttimeout() is not None:
            os.set_blocking(duplicate, is_blocking)
        return _Socket(
            descriptor=descriptor,
            inode=inode,
            local=_address(each.family, each.getsockname()),
            remote=_remote(each),
            is_listening=bool(each.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)),
        )


def _remote(each: socket.socket) -> str | None:
    try:
        return _address(each.family, each.getpeername())
    except OSError:
        return None


def _address(family: int, name: Any) -> str:
    """Return an address as gRPC writes it."""
    if family == socket.AF_UNIX:
        if isinstance(name, bytes):
            return f"{_ABSTRACT}{name[1:].decode(errors='replace')}"
        return f"{_UNIX}{name}" if name else ""
    if family in {socket.AF_INET, socket.AF_INET6}:
        # gRPC listens on IPv6 sockets for IPv4 as well.
        host = name[0].removeprefix("::ffff:")
        return f"[{host}]:{name[1]}" if ":" in host else f"{host}:{name[1]}"
    return ""


def _key(address: str) -> str:
    """Return a key that is equal for all spellings of an address."""
    if address.startswith(_UNIX):
        return address.removeprefix(_UNIX).removeprefix("//")
    if address.startswith(_ABSTRACT):
        return address
    return address.rpartition(":")[2]


def _unexplained(found: Collection[_Socket], now: Snapshot, owned: Owned) -> list[str]:
    """Return lines for sockets that no owner, channel or other socket explains."""
    owned_keys = {_key(address) for address in owned.addresses}
    targets = {
        _key(part) for target in now.channels.values() for part in target.split(",")
    }
    reported_listening = {_key(each.local) for each in found if each.is_listening}
    listening = {_key(each.local) for each in now.sockets if each.is_listening}
    ends = {(each.local, each.remote) for each in now.sockets}
    explained: set[tuple[str, str | None]] = {
        (each.local, each.remote)
        for each in now.sockets
        if each.remote and _key(each.remote) in targets
    }
    lines = []
    for each in sorted(found, key=lambda each: each.descriptor):
        key = _key(each.local)
        other_end = (each.remote, each.local)
        if (
            each.is_of_a_pair
            or key in owned_keys
            or (each.local, each.remote) in explained
            or other_end in explained
            or (key in reported_listening and not each.is_listening)
            # It was accepted, and its peer is a socket of this process too.
            or (key in listening and other_end in ends)
        ):
            continue
        explained.add((each.local, each.remote))
        lines.append(str(each))
    return lines


def _pairs(found: Collection[_Socket], pollers: int) -> list[str]:
    ends = sum(each.is_of_a_pair for each in found) - 2 * pollers
    return ["socket pair (of an event loop that was not closed?) is still open"] * (
        (ends + 1) // 2
    )
