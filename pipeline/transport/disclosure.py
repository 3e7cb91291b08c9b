"""Who is told why a stage function failed."""

from __future__ import annotations

import hmac
import os
import secrets
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any

#: The variable by which whoever starts a server says who is told: callers that send
#: this secret, or `EVERYONE`. Without it, nobody is.
VARIABLE = "PIPELINE_TELL_ERRORS_TO"
EVERYONE = "everyone"

# A channel sends it with each of its calls, and no call needs an interceptor for that.
_KEY = "user-agent"


class Disclosure:
    """Decides which callers are told what a function raised, and its traceback.

    The text and the traceback name files, code and values of records. Other callers
    are referred to the server's log.

    Args:
        to: A secret that callers send, `EVERYONE`, or empty for nobody.
    """

    def __init__(self, to: str = EVERYONE) -> None:
        self._to = to

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Disclosure:
        """Return what the variable says."""
        return cls(environment.get(VARIABLE, ""))

    def tells(self, metadata: Iterable[tuple[str, str | bytes]] | None) -> bool:
        """Return whether a caller that sent this metadata is told."""
        if self._to in {"", EVERYONE}:
            return self._to == EVERYONE
        agent = next((value for key, value in metadata or () if key == _KEY), "")
        sent = agent.encode() if isinstance(agent, str) else agent
        return hmac.compare_digest(sent.partition(b" ")[0], self._to.encode())


@cache
def own_secret() -> str:
    """Return what the servers that this process starts take, and its calls send."""
    return os.environ.get(VARIABLE) or secrets.token_hex()


def channel_options() -> tuple[tuple[str, Any], ...]:
    """Return the options of a channel whose calls send the secret of this process."""
    return (("grpc.primary_user_agent", own_secret()),)
