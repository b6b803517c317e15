"""Where a server listens, who may use it, and how much it takes."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

from quadgate.errors import InputError


@dataclass(frozen=True)
class Settings:
    """The settings of a server.

    Attributes:
        host, port: where it listens; port 0 takes a free one.
        token: what a client proves itself by, as `Authorization: Bearer TOKEN`; needed beyond this machine.
        name: the model's name in addresses.
        body: bytes of a request or of a WebSocket message, at most.
        sessions: streams at one time, at most.
        idle: seconds without a message after which a stream is closed.
        steps: samples of one WebSocket message, at most.

    Raises:
        InputError: it would listen beyond this machine without a token.
    """

    host: str = "127.0.0.1"
    port: int = 8000
    token: str | None = None
    name: str = "model"
    body: int = 16 * 2**20
    sessions: int = 1000
    idle: float = 300.0
    steps: int = 4096

    def __post_init__(self) -> None:
        if not self.loopback and not self.token:
            raise InputError(
                f"host: found {self.host}, which other machines reach, without a token; expected one in the variable "
                "QUADGATE_TOKEN, or the host 127.0.0.1"
            )

    @property
    def loopback(self) -> bool:
        """Whether only this machine reaches it."""
        try:
            return self.host == "localhost" or ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False
