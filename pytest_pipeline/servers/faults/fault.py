"""What a fault is, and faults that are drawn from a seed."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import grpc

from pipeline.errors import UsageError

Kind = Literal[
    "kill",
    "pause",
    "slow",
    "drop_call",
    "drop_connection",
    "corrupt",
    "half_close",
    "refuse",
]
Direction = Literal["request", "reply"]

KINDS: tuple[Kind, ...] = get_args(Kind)
DIRECTIONS: tuple[Direction, ...] = get_args(Direction)


@dataclass(frozen=True)
class Fault:
    """One fault, which happens once: in the first call that reaches its message.

    Raises:
        UsageError: A field has no such value.
    """

    kind: Kind
    #: The number of the message in its call, from 1.
    at: int
    #: Whether requests or replies are counted.
    of: Direction = "request"
    #: How long `slow` holds the message.
    seconds: float = 0.0
    #: The name of the status that `refuse` ends the call with.
    status: str = "UNAVAILABLE"
    #: Chooses the byte that `corrupt` changes.
    seed: int = 0
    #: The name of an RPC, such as ``Greet``; empty for every RPC.
    method: str = ""

    def __post_init__(self) -> None:
        """Check the fields."""
        if self.kind not in KINDS:
            raise UsageError(f"fault {self.kind}: use one of {', '.join(KINDS)}")
        if self.of not in DIRECTIONS:
            raise UsageError(f"fault {self}: of must be request or reply")
        if self.at < 1:
            raise UsageError(f"fault {self}: messages are counted from 1")
        if not 0 <= self.seconds < float("inf"):
            raise UsageError(f"fault {self}: seconds must be 0 or more")
        if self.status not in grpc.StatusCode.__members__ or self.status == "OK":
            raise UsageError(f"fault {self}: {self.status} is no error status of gRPC")

    def __str__(self) -> str:
        return f"{self.kind} at {self.of} {self.at}"

    def concerns(self, of: Direction, number: int, method: str) -> bool:
        """Return whether a message is the one of this fault.

        Args:
            of: The direction of the message.
            number: Its number in its call, from 1.
            method: The RPC, as ``/package.Service/Method``.
        """
        names = ("", method, method.rpartition("/")[2])
        return of == self.of and number == self.at and self.method in names


def draw_fault(
    seed: int,
    messages: int,
    kinds: Sequence[Kind] = KINDS,
    directions: Sequence[Direction] = DIRECTIONS,
    seconds: float = 0.1,
) -> Fault:
    """Draw a fault; the same arguments draw the same one.

    Args:
        seed: What the choice depends on.
        messages: The number of the last message that may be chosen.
        kinds: The kinds to choose from.
        directions: The directions to choose from.
        seconds: How long `slow` holds a message.

    Returns:
        A fault at a message from 1 to ``messages``.

    Raises:
        UsageError: There is nothing to choose from.
    """
    if messages < 1 or not kinds or not directions:
        raise UsageError("draw a fault: give a message, a kind and a direction or more")
    generator = random.Random(seed)  # noqa: S311 - nothing secret is drawn
    return Fault(
        generator.choice(kinds),
        generator.randint(1, messages),
        generator.choice(directions),
        seconds=seconds,
        seed=seed,
    )


def corrupted(message: bytes, seed: int) -> bytes:
    """Return a message with one byte inverted; an empty one gets a byte."""
    if not message:
        return b"\xff"
    place = random.Random(seed).randrange(len(message))  # noqa: S311 - see draw_fault
    changed = bytearray(message)
    changed[place] ^= 0xFF
    return bytes(changed)
