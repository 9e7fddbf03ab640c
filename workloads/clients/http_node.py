"""One node of a database that speaks HTTP: one connection, a bound on every call, and no second try."""

from typing import Any

import requests
from requests.adapters import HTTPAdapter
from urllib3.exceptions import ConnectTimeoutError, MaxRetryError, NewConnectionError

from workloads.clients.base import NotAppliedError


class HttpNode:
    """Calls go to this node alone: no redirects, and no proxy of the environment between client and node."""

    def __init__(self, address: str, port: int, timeout_s: float) -> None:
        host = f"[{address}]" if ":" in address else address  # IPv6
        self._url = f"http://{host}:{port}/"
        self._timeout_s = timeout_s
        self._session = requests.Session()
        self._session.mount("http://", HTTPAdapter(max_retries=0))
        self._session.trust_env = False

    def call(self, method: str, path: str, **request: Any) -> requests.Response:  # noqa: ANN401  (requests' own)
        """Makes a call and returns the whole answer, whatever its status.

        Raises:
            NotAppliedError: No connection was made, so nothing was sent. Anything else: the call may have gone.
        """
        try:
            return self._session.request(
                method, self._url + path, timeout=self._timeout_s, allow_redirects=False, **request
            )
        except requests.ConnectionError as error:
            if reason := connect_error(error):
                raise NotAppliedError from reason
            raise

    def close(self) -> None:
        """Drops the connection."""
        self._session.close()


def connect_error(error: requests.ConnectionError) -> Exception | None:
    """Returns why no connection was made, or None if there was one, over which the call may have gone.

    urllib3 gives up before it has a connection with these two only; what is raised later has another reason.
    """
    cause = error.args[0] if error.args else None
    reason = cause.reason if isinstance(cause, MaxRetryError) else None
    return reason if isinstance(reason, (NewConnectionError, ConnectTimeoutError)) else None
