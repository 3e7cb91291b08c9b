"""The gRPC of the example in Node, met by a client that writes its frames by hand.

It does what clients of gRPC's own libraries do not let a test do.
"""

from __future__ import annotations

import socket
import struct
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import pytest

from pipeline.transport import wire
from pipeline.v1.events_pb2 import EVENT_TYPE_CLICK, Events
from pipeline.v1.pipeline_pb2 import Batch
from pytest_pipeline import stage_fixture
from pytest_pipeline.servers.handle import Server
from tests.node import node

EXAMPLE = Path(__file__).parents[2] / "examples" / "rules_in_node"

node_rules = stage_fixture([node(), str(EXAMPLE / "rules.mjs")], name="rules")

# Of HTTP/2: kinds of frame, flags, and the window that each stream has at first.
DATA, HEADERS, RESET, SETTINGS, PING, WINDOW_UPDATE = 0, 1, 3, 4, 6, 8
END_STREAM, ACK, END_HEADERS = 1, 1, 4
WINDOW = 65_535
NO_ERROR, INTERNAL_ERROR = 0, 2
MAX_FRAME = 16_384


@dataclass(frozen=True)
class Frame:
    """A frame of HTTP/2."""

    kind: int
    flags: int
    stream: int
    payload: bytes


class Client:
    """One connection with one call of `Stage.Process`, on stream 1.

    The window of the connection is opened wide, that of the stream is left alone.
    """

    def __init__(self, address: str) -> None:
        host, _, port = address.rpartition(":")
        self._socket = socket.create_connection((host, int(port)), timeout=30)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._file = self._socket.makefile("rb")
        #: Bytes that the server lets the stream send now.
        self.window = WINDOW
        #: What has come of the stream.
        self.seen: list[Frame] = []
        self._socket.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        self.send(SETTINGS, 0, 0)
        self.send(SETTINGS, ACK, 0)
        self.send(WINDOW_UPDATE, 0, 0, struct.pack(">I", 2**30))
        path = wire.PROCESS.encode()
        # POST and http from HPACK's table, path and authority as literals.
        block = b"\x83\x86\x04" + bytes([len(path)]) + path + b"\x01\x01x"
        self.send(HEADERS, END_HEADERS, 1, block)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._file.close()
        self._socket.close()

    def send(self, kind: int, flags: int, stream: int, payload: bytes = b"") -> None:
        """Send a frame."""
        head = struct.pack(">I", len(payload))[1:] + struct.pack(
            ">BBI", kind, flags, stream
        )
        self._socket.sendall(head + payload)

    def send_data(self, data: bytes, flags: int = 0) -> None:
        """Send a piece of the requests."""
        self.window -= len(data)
        self.send(DATA, flags, 1, data)

    def read_until(self, kind: int, flags: int = 0) -> None:
        """Read frames up to one of that kind with these flags."""
        while True:
            head = self._file.read(9)
            assert head, "the connection has ended"
            length = int.from_bytes(head[:3], "big")
            found, has, stream = struct.unpack(">BBI", head[3:])
            frame = Frame(found, has, stream, self._file.read(length))
            if frame.stream == 1:
                self.seen.append(frame)
                if frame.kind == WINDOW_UPDATE:
                    self.window += int.from_bytes(frame.payload, "big")
            if frame.kind == kind and frame.flags & flags == flags:
                return

    def ping(self) -> None:
        """Wait until the server has read everything that was sent."""
        self.send(PING, 0, 0, bytes(8))
        self.read_until(PING, ACK)

    @property
    def replies(self) -> list[Batch]:
        """The replies that have come whole."""
        data = b"".join(frame.payload for frame in self.seen if frame.kind == DATA)
        found = []
        while len(data) >= (end := 5 + int.from_bytes(data[1:5], "big")):
            found.append(Batch.FromString(data[5:end]))
            data = data[end:]
        return found


def request(number: int, events: Events) -> bytes:
    """Return a message as it is on the wire."""
    batch = Batch(number=number)
    wire.pack(events, into=batch.payload)
    raw = batch.SerializeToString()
    return struct.pack(">BI", 0, len(raw)) + raw


def events(count: int) -> Events:
    """Return events that the rules keep."""
    return Events(type=[EVENT_TYPE_CLICK] * count, value=[2**53] * count)


ONE = request(3, events(1))
END = (HEADERS, END_STREAM)


@pytest.mark.parametrize("size", [1, 2, 5, 6, len(ONE) - 1, len(ONE) + 1])
def test_messages_may_be_cut_up_anyhow(node_rules: Server, size: int) -> None:
    """Down to single bytes, with two messages in one piece or one in many."""
    data = ONE * 3
    with Client(node_rules.address) as client:
        for start in range(0, len(data), size):
            client.send_data(data[start : start + size])
            client.ping()
        client.send_data(b"", END_STREAM)
        client.read_until(*END)

        assert [reply.number for reply in client.replies] == [3, 3, 3]


@pytest.mark.parametrize("length", [3, len(ONE) - 1])
def test_requests_that_end_in_a_message_fail(node_rules: Server, length: int) -> None:
    """The call ends as INTERNAL, and the message before is answered."""
    with Client(node_rules.address) as client:
        client.send_data(ONE + ONE[:length], END_STREAM)
        client.read_until(*END)

        assert len(client.replies) == 1
        # Two digits are never worth compressing, so they are there to be seen.
        assert b"\x0213" in client.seen[-1].payload


def test_a_client_that_still_sends_is_told_to_stop(node_rules: Server) -> None:
    """Once its call has failed, by a reset that is no error."""
    with Client(node_rules.address) as client:
        client.send_data(bytes(5))
        client.read_until(RESET)
        *_, trailers, reset = client.seen

        assert (trailers.kind, trailers.flags & END_STREAM) == END
        assert reset.payload == struct.pack(">I", NO_ERROR)


@pytest.mark.parametrize(
    ("data", "flags"),
    [(ONE + ONE[:9], 0), (request(0, events(1500)) * 6, END_STREAM)],
    ids=["in a message", "with replies unread"],
)
def test_a_client_that_breaks_off_leaves_the_stage_serving(
    node_rules: Server, data: bytes, flags: int
) -> None:
    """With an error, wherever the call is then."""
    with Client(node_rules.address) as client:
        for start in range(0, len(data), MAX_FRAME):
            last = start + MAX_FRAME >= len(data)
            client.send_data(data[start : start + MAX_FRAME], flags if last else 0)
            client.ping()
        client.send(RESET, 0, 1, struct.pack(">I", INTERNAL_ERROR))
        client.ping()

    assert node_rules.health == "SERVING"


def test_a_client_that_does_not_read_has_to_wait(node_rules: Server) -> None:
    """The stage takes no more requests than it can send replies to."""
    message = request(0, events(1000))
    most = 8 * 2**20
    sent = idle = 0
    left = b""
    with Client(node_rules.address) as client:
        # No window came with any of so many answers to a ping: the stage does not read.
        while idle < 200 and sent < most:
            left = left or message
            piece = left[: min(client.window, MAX_FRAME)]
            left = left[len(piece) :]
            if piece:
                client.send_data(piece)
            client.ping()
            sent += len(piece)
            idle = 0 if piece else idle + 1

        assert 0 < len(client.replies) * len(message) < sent < most
