"""Reaching a scheduler: what answers at its address, and where nothing does, why.

This is done before Dask connects, which says late that it cannot, and not why.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from deepmatrix.errors import ArgumentError, EngineError
from deepmatrix.fleet import certificates
from deepmatrix.invocation import command_line

#: What an address of a scheduler begins with: connections are encrypted, or there are none.
SCHEME: Final = "tls://"

#: The highest port of TCP.
LAST_PORT: Final = 65535

#: Python names an alert of TLS, by which the other side refuses a connection, like
#: "TLSV1_ALERT_UNKNOWN_CA": its reason comes after this.
ALERT: Final = "ALERT_"

#: The reasons with which a certificate is refused.
CERTIFICATE_ALERTS: Final = frozenset(
    {
        "bad certificate",
        "certificate expired",
        "certificate required",
        "certificate revoked",
        "certificate unknown",
        "unknown ca",
        "unsupported certificate",
    }
)

#: For how long connecting is tried before it begins anew, in seconds: Dask doubles its pauses, and
#: would sleep through most of the time in which a scheduler may return.
CONNECT_S: Final = 5.0

#: How soon a scheduler that does not answer is sought again, in seconds.
AGAIN_S: Final = 1.0


class NotReached(EngineError):
    """Nothing answers at the address; that may change."""


def split_address(address: str) -> tuple[str, int]:
    """Return the host and the port of a scheduler. Raises ArgumentError."""
    host, colon, port = address.removeprefix(SCHEME).rpartition(":")
    is_port = port.isdecimal() and len(port) <= len(str(LAST_PORT)) and int(port) <= LAST_PORT
    if not (address.startswith(SCHEME) and _is_name(host) and colon and is_port):
        raise ArgumentError(
            f"'{address}' is no address of a fleet's scheduler",
            hint=f"write it like {SCHEME}name:8786; connections without TLS are not made",
        )
    return host.strip("[]"), int(port)


def _is_name(host: str) -> bool:
    """Return whether a host can have this name: each of its parts has 1 to 63 characters."""
    with contextlib.suppress(UnicodeError):
        return bool(host.encode("idna"))
    return False


def wait_for_scheduler(
    address: str, folder: Path, *, return_s: float, waits: Callable[[str], None]
) -> None:
    """Wait until a scheduler answers, *return_s* seconds at most; say once why to *waits*.

    Raises:
        NotReached: none has answered in that time.
        EngineError: nobody has that name, or no scheduler of this fleet does.
    """
    end = time.monotonic() + return_s
    has_said = False
    while True:
        try:
            try_connecting(address, folder, "client")
        except NotReached as error:
            if time.monotonic() > end:
                raise
            if not has_said:
                waits(error.message)
            has_said = True
        else:
            return
        time.sleep(AGAIN_S)


def try_connecting(address: str, folder: Path, role: certificates.Role) -> None:
    """Connect to a scheduler with the certificates of *role* in *folder*, and disconnect.

    Raises:
        NotReached: nothing answers.
        EngineError: nobody has that name, or what answers is no scheduler of this fleet.
    """
    place = split_address(address)
    context = certificates.context(folder, role)
    try:
        with (
            socket.create_connection(place, CONNECT_S) as plain,
            context.wrap_socket(plain) as encrypted,
        ):
            if not encrypted.recv(1):  # a scheduler speaks first, once it knows who is there
                raise ConnectionResetError("it closed the connection")
    except ssl.SSLCertVerificationError as error:
        raise EngineError(
            f"the scheduler at {address} is not of this fleet: {error.verify_message}",
            hint=f"name the folder with the certificates that were made with its own, not {folder}",
        ) from None
    except OSError as error:
        raise _failure(address, place, error) from None


def _failure(address: str, place: tuple[str, int], error: OSError) -> EngineError:
    """Return what is wrong where no connection was made."""
    if isinstance(error, socket.gaierror) and error.errno == socket.EAI_NONAME:
        return EngineError(
            f"no machine is known as {place[0]}",
            hint="look at how the address is written, or write the IP address of the machine",
        )
    if isinstance(error, ssl.SSLError) and error.reason in ("WRONG_VERSION_NUMBER", "HTTP_REQUEST"):
        return EngineError(
            f"what answers at {address} is no scheduler of a fleet: it does not speak TLS",
            hint="look at the port: `fleet scheduler` says it as it starts",
        )
    if isinstance(error, ssl.SSLError) and ALERT in (error.reason or ""):
        return _refusal(address, error.reason.rpartition(ALERT)[2].lower().replace("_", " "))
    cause = getattr(error, "strerror", None) or error
    return NotReached(
        f"no scheduler of a fleet answers at {address}: {cause}",
        hint=f"start one with `{command_line('fleet', 'scheduler', 'FOLDER')}`; if it runs, look "
        "at the address, the port and what a firewall lets through",
    )


def _refusal(address: str, alert: str) -> EngineError:
    """Return what is wrong where the other side refuses the connection with an alert of TLS."""
    if alert in CERTIFICATE_ALERTS:
        return EngineError(
            f"the scheduler at {address} refuses the certificate that it was shown: {alert}",
            hint="copy the certificates again from where its own were made",
        )
    return EngineError(
        f"what answers at {address} refuses the TLS connection: {alert}",
        hint="look at the port: `fleet scheduler` says it as it starts; if that is right, install "
        "versions of Python and OpenSSL that share a version of TLS and its ciphers",
    )


def no_answer(address: str, error: Exception | None = None) -> EngineError:
    """Return what is wrong where a scheduler takes a connection and then does not answer."""
    return EngineError(
        f"the scheduler at {address} does not answer{f': {error}' if error else ''}",
        hint="look at what it prints; it may need to be started again",
    )
