"""Ports: free before we start, answering after."""

import http.client
import socket

from app.infra.embedded.faults import StartError
from app.settings import Settings


def check_ports(settings: Settings, *, demo: bool) -> None:
    """Find out before anything is started whether the ports can be had.

    Raises:
        StartError: naming the port and the variable that changes it.
    """
    wanted = {"PORT": settings.port}
    if demo:
        wanted["DEMO_PORT"] = settings.demo_port
    if demo and settings.port == settings.demo_port:
        raise StartError(f"PORT and DEMO_PORT are both {settings.port}: make them differ.")
    for variable, port in wanted.items():
        family = socket.AF_INET6 if ":" in settings.bind_address else socket.AF_INET
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((settings.bind_address, port))
                probe.listen(1)
            except PermissionError as error:
                raise StartError(
                    f"Port {port} needs more rights than we have: set {variable} to one above 1023."
                ) from error
            except OSError as error:
                raise StartError(
                    f"Port {port} of {settings.bind_address} is taken or cannot be used "
                    f"({error.strerror}): stop what uses it, or set {variable} to another port."
                ) from error


def host_of(settings: Settings) -> str:
    """The host under which a browser on this machine reaches us."""
    if settings.bind_address in {"0.0.0.0", "::", ""}:  # noqa: S104 - compared, not bound
        return "127.0.0.1"
    return f"[{settings.bind_address}]" if ":" in settings.bind_address else settings.bind_address


def answers(host: str, port: int, path: str) -> bool:
    """Whether a GET is answered with 200 within a second."""
    connection = http.client.HTTPConnection(host.strip("[]"), port, timeout=1)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
