"""One node of Elasticsearch by its official client, which knows servers from 8.0 on and refuses all others."""

import logging
from http import HTTPStatus
from typing import Any, NamedTuple

import msgspec
from elastic_transport import ConnectionError as NoConnectionError
from elastic_transport import ConnectionTimeout
from elasticsearch import ApiError, Elasticsearch
from urllib3.exceptions import ConnectTimeoutError, NewConnectionError

from workloads.clients.base import NotAppliedError

logging.getLogger("elastic_transport").setLevel(logging.CRITICAL)  # what goes wrong stands in the history

JSON = {"accept": "application/json", "content-type": "application/json"}


class Answered(NamedTuple):
    """An answer, whatever its status; the names are those of requests' answers, which HttpNode gives."""

    status_code: int
    body: Any

    @property
    def ok(self) -> bool:
        """Whether the status is none of an error."""
        return self.status_code < HTTPStatus.BAD_REQUEST

    @property
    def text(self) -> str:
        """The body as text."""
        return msgspec.json.encode(self.body).decode()

    def json(self) -> Any:  # noqa: ANN401  (as requests has it)
        """The body."""
        return self.body


class OfficialNode:
    """Calls go to this node alone; the client's second tries, and its search for other nodes, are off."""

    def __init__(self, address: str, port: int, timeout_s: float) -> None:
        host = f"[{address}]" if ":" in address else address  # IPv6
        self._client = Elasticsearch(
            f"http://{host}:{port}", request_timeout=timeout_s, max_retries=0, retry_on_timeout=False
        )

    def call(
        self, method: str, path: str, params: dict[str, str] | None = None, json: dict[str, Any] | None = None
    ) -> Answered:
        """Makes a call and returns the whole answer, whatever its status.

        Raises:
            NotAppliedError: No connection was made, so nothing was sent. Anything else: the call may have gone.
        """
        try:
            answer = self._client.perform_request(method, f"/{path}", params=params, headers=JSON, body=json)
        except ApiError as error:
            return Answered(error.meta.status, error.body)
        except (NoConnectionError, ConnectionTimeout) as error:
            if isinstance(error.__cause__, (NewConnectionError, ConnectTimeoutError)):
                raise NotAppliedError from error
            raise
        return Answered(answer.meta.status, answer.body)

    def close(self) -> None:
        """Drops the connection."""
        self._client.close()
