"""etcd's two HTTP APIs, as far as the workloads need them: v2, and the JSON gateway of v3."""

from abc import ABC, abstractmethod
from base64 import b64decode, b64encode
from typing import Annotated, Any, Literal

import msgspec

from workloads.clients.base import NotAppliedError
from workloads.clients.http_node import HttpNode

KEY_NOT_FOUND = 100  # error codes of v2, in the body of its answers
COMPARE_FAILED = 101


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a client of etcd must know of the cluster, and how a key is read.

    Attributes:
        quorum: Of v2: a read goes through the log; without it a node answers from what it has, stale or not.
        serializable: Of v3: a node answers from what it has; without it a read is linearizable.
        gateway: Where v3's JSON gateway is: `v3` since etcd 3.4, `v3beta` in 3.3.
    """

    port: Annotated[int, msgspec.Meta(gt=0, lt=65536)] = 2379
    api: Literal["v2", "v3"] = "v3"
    quorum: bool = False
    serializable: bool = False
    gateway: Literal["v3", "v3beta"] = "v3"


class EtcdError(Exception):
    """etcd answered with an error.

    Attributes:
        code: v2's error code or v3's status code; 0 if the answer has none.
    """

    def __init__(self, status: int, answer: dict[str, Any]) -> None:
        self.code: int = answer.get("errorCode") or answer.get("code") or 0
        said = answer.get("error") or f"{answer.get('message')}: {answer.get('cause')}"
        super().__init__(f"{status} {self.code} {said}")


class EtcdApi(ABC):
    """The keys of one etcd node. Every method makes one HTTP call and raises what went wrong.

    NotAppliedError is certain: no connection was made, so nothing was sent, or a comparison failed. All else may have
    happened: etcd's own errors too, since a time-out or a lost leader does not take a proposal out of its log.
    """

    def __init__(self, address: str, options: Options, timeout_s: float) -> None:
        self._options = options
        self._node = HttpNode(address, options.port, timeout_s)

    def close(self) -> None:
        """Drops the connection."""
        self._node.close()

    @abstractmethod
    def put(self, key: str, value: str) -> None:
        """Writes a key, whatever it was."""

    @abstractmethod
    def compare_and_set(self, key: str, old: str, new: str) -> None:
        """Writes a key if it has the old value; a key that is not there has none."""

    @abstractmethod
    def get(self, key: str, *, quorum: bool | None = None) -> str | None:
        """Reads a key, None if it is not there; how is up to the options, unless a quorum is asked for."""

    @abstractmethod
    def list_values(self, folder: str) -> list[str]:
        """Reads the values of all keys below a folder, whose name ends in `/`, through a quorum."""

    def _call(self, method: str, path: str, **request: Any) -> dict[str, Any]:  # noqa: ANN401  (requests' own)
        """Makes a call and returns the answer's JSON."""
        response = self._node.call(method, path, **request)
        answer: dict[str, Any] = response.json()
        if not response.ok:
            raise EtcdError(response.status_code, answer)
        return answer


class V2(EtcdApi):
    """The API that etcd had in 2014."""

    def put(self, key: str, value: str) -> None:
        """Writes a key, whatever it was."""
        self._call("PUT", f"v2/keys/{key}", data={"value": value})

    def compare_and_set(self, key: str, old: str, new: str) -> None:
        """Writes a key if it has the old value; a key that is not there has none."""
        try:
            self._call("PUT", f"v2/keys/{key}", params={"prevValue": old}, data={"value": new})
        except EtcdError as error:
            if error.code in {KEY_NOT_FOUND, COMPARE_FAILED}:
                raise NotAppliedError from error
            raise

    def get(self, key: str, *, quorum: bool | None = None) -> str | None:
        """Reads a key, None if it is not there; how is up to the options, unless a quorum is asked for."""
        node = self._get(key, quorum=self._options.quorum if quorum is None else quorum)
        return None if node is None else node["value"]

    def list_values(self, folder: str) -> list[str]:
        """Reads the values of all keys below a folder, whose name ends in `/`, through a quorum."""
        node = self._get(folder, quorum=True)
        return [] if node is None else [child["value"] for child in node.get("nodes", [])]

    def _get(self, key: str, *, quorum: bool) -> dict[str, Any] | None:
        params = {"recursive": "true", "quorum": "true" if quorum else "false"}
        try:
            node: dict[str, Any] = self._call("GET", f"v2/keys/{key}", params=params)["node"]
        except EtcdError as error:
            if error.code == KEY_NOT_FOUND:
                return None
            raise
        return node


class V3(EtcdApi):
    """The API of today, as JSON with keys and values in base64; a field that is zero, false or empty is left out."""

    def put(self, key: str, value: str) -> None:
        """Writes a key, whatever it was."""
        self._post("kv/put", {"key": encode(key), "value": encode(value)})

    def compare_and_set(self, key: str, old: str, new: str) -> None:
        """Writes a key if it has the old value; a key that is not there has none."""
        compare = {"key": encode(key), "target": "VALUE", "result": "EQUAL", "value": encode(old)}
        put = {"requestPut": {"key": encode(key), "value": encode(new)}}
        if not self._post("kv/txn", {"compare": [compare], "success": [put]}).get("succeeded"):
            raise NotAppliedError("compare failed")

    def get(self, key: str, *, quorum: bool | None = None) -> str | None:
        """Reads a key, None if it is not there; how is up to the options, unless a quorum is asked for."""
        serializable = self._options.serializable if quorum is None else not quorum
        found = self._post("kv/range", {"key": encode(key), "serializable": serializable}).get("kvs", [])
        return decode(found[0]["value"]) if found else None

    def list_values(self, folder: str) -> list[str]:
        """Reads the values of all keys below a folder, whose name ends in `/`, through a quorum."""
        end = folder[:-1] + chr(ord("/") + 1)  # the first key behind all that begin with the folder's name
        answer = self._post("kv/range", {"key": encode(folder), "range_end": encode(end)})
        return [decode(pair["value"]) for pair in answer.get("kvs", [])]

    def _post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        return self._call("POST", f"{self._options.gateway}/{path}", json=body)


def encode(text: str) -> str:
    """Returns a key or a value as v3's JSON has it."""
    return b64encode(text.encode()).decode()


def decode(text: str) -> str:
    """Returns what v3's JSON says as text."""
    return b64decode(text).decode()
