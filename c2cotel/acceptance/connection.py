"""A client of a REST API that checks each answer: its status, its CORS headers, whether it may be cached."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from enum import Enum
from typing import Any

import requests

_TIMEOUT = 60.0

Status = int | Collection[int]
"""A status that is expected, or several."""

Headers = Mapping[str, str] | None


class CacheExpected(Enum):
    """What ``Cache-Control`` must say."""

    NO = 1
    YES = 2
    DONT_CARE = 3


class Connection:
    """Asks an API, relative to its base URL, and checks the answers.

    Every method takes, in the order of 2018, `expected_status` (one or several), `headers`, `cors` (send ``Origin`` and
    check the CORS headers), `cache_expected`, and by name what `requests` takes: `json`, `data`, `files`, `params`.

    Args:
        base_url: of the API.
        origin: of the page whose scripts use it, such as ``https://shop.example``.
        timeout: seconds, for requests that name none.

    Attributes:
        session: keeps cookies.
    """

    def __init__(self, base_url: str, origin: str, timeout: float = _TIMEOUT) -> None:
        self.base_url = base_url.rstrip("/") + "/"
        self.origin = origin
        self.timeout = timeout
        self.session = requests.Session()

    def get(
        self,
        url: str,
        expected_status: Status = 200,
        headers: Headers = None,
        cors: bool = True,
        cache_expected: CacheExpected = CacheExpected.NO,
        **kwargs: Any,
    ) -> str:
        """The text of a ``GET``."""
        return self._ask("GET", url, expected_status, headers, cors, cache_expected, **kwargs).text

    def get_raw(
        self,
        url: str,
        expected_status: Status = 200,
        headers: Headers = None,
        cors: bool = True,
        cache_expected: CacheExpected = CacheExpected.NO,
        **kwargs: Any,
    ) -> requests.Response:
        """The response of a ``GET``."""
        return self._ask("GET", url, expected_status, headers, cors, cache_expected, **kwargs)

    def get_json(
        self,
        url: str,
        expected_status: Status = 200,
        headers: Headers = None,
        cors: bool = True,
        cache_expected: CacheExpected = CacheExpected.NO,
        **kwargs: Any,
    ) -> Any:
        """What the JSON of a ``GET`` holds."""
        return _json(self._ask("GET", url, expected_status, headers, cors, cache_expected, **kwargs))

    def get_xml(
        self,
        url: str,
        schema: str | None = None,
        expected_status: Status = 200,
        headers: Headers = None,
        cors: bool = True,
        cache_expected: CacheExpected = CacheExpected.NO,
        **kwargs: Any,
    ) -> Any:
        """The XML of a ``GET``, as an ``ElementTree`` of lxml; `schema` is a file whose schema it must be valid by."""
        from lxml import etree  # noqa: PLC0415  # all others do without

        response = self._ask("GET", url, expected_status, headers, cors, cache_expected, **kwargs)
        document = etree.ElementTree(etree.fromstring(response.content))
        if schema is not None:
            etree.XMLSchema(etree.parse(schema)).assertValid(document)
        return document

    def post(
        self,
        url: str,
        expected_status: Status = 200,
        headers: Headers = None,
        cors: bool = True,
        cache_expected: CacheExpected = CacheExpected.DONT_CARE,
        **kwargs: Any,
    ) -> str:
        """The text that answers a ``POST``."""
        return self._ask("POST", url, expected_status, headers, cors, cache_expected, **kwargs).text

    def post_json(
        self,
        url: str,
        expected_status: Status = 200,
        headers: Headers = None,
        cors: bool = True,
        cache_expected: CacheExpected = CacheExpected.DONT_CARE,
        **kwargs: Any,
    ) -> Any:
        """What the JSON holds that answers a ``POST`` of JSON."""
        return _json(self._ask("POST", url, expected_status, headers, cors, cache_expected, **kwargs))

    def post_files(
        self,
        url: str,
        expected_status: Status = 200,
        headers: Headers = None,
        cors: bool = True,
        cache_expected: CacheExpected = CacheExpected.DONT_CARE,
        **kwargs: Any,
    ) -> Any:
        """What the JSON holds that answers the ``POST`` of a form with files."""
        response = self._ask("POST", url, expected_status, headers, cors, cache_expected, **kwargs)
        return _json(response)

    def put_json(
        self,
        url: str,
        expected_status: Status = 200,
        headers: Headers = None,
        cors: bool = True,
        cache_expected: CacheExpected = CacheExpected.DONT_CARE,
        **kwargs: Any,
    ) -> Any:
        """What the JSON holds that answers a ``PUT`` of JSON."""
        return _json(self._ask("PUT", url, expected_status, headers, cors, cache_expected, **kwargs))

    def delete(
        self,
        url: str,
        expected_status: Status = 204,
        headers: Headers = None,
        cors: bool = True,
        cache_expected: CacheExpected = CacheExpected.DONT_CARE,
        **kwargs: Any,
    ) -> requests.Response:
        """The response of a ``DELETE``."""
        return self._ask("DELETE", url, expected_status, headers, cors, cache_expected, **kwargs)

    def _ask(
        self,
        method: str,
        url: str,
        expected_status: Status,
        headers: Headers,
        cors: bool,
        cache_expected: CacheExpected,
        **kwargs: Any,
    ) -> requests.Response:
        sent = {**({"Origin": self.origin} if cors else {}), **(headers or {})}
        kwargs.setdefault("timeout", self.timeout)
        response = self.session.request(method, self.base_url + url.lstrip("/"), headers=sent, **kwargs)
        check_response(response, expected_status, cache_expected)
        if cors:
            self._check_cors(response)
        return response

    def _check_cors(self, response: requests.Response) -> None:
        """As in 2018: an answer without credentials may come from a view that knows nothing of CORS."""
        if "Access-Control-Allow-Credentials" in response.headers:
            allowed = response.headers.get("Access-Control-Allow-Origin")
            _check(
                allowed == self.origin,
                response,
                f"Access-Control-Allow-Origin is {allowed!r}, expected {self.origin!r}",
            )


def check_response(
    response: requests.Response, expected_status: Status = 200, cache_expected: CacheExpected = CacheExpected.DONT_CARE
) -> None:
    """Check the status of a response, and whether it may be cached.

    Raises:
        AssertionError: something is not as expected; tells what, and shows the response.
    """
    statuses: Collection[int] = (expected_status,) if isinstance(expected_status, int) else expected_status
    _check(response.status_code in statuses, response, f"expected status {' or '.join(map(str, statuses))}")
    if cache_expected is not CacheExpected.DONT_CARE:
        cache_control = response.headers.get("Cache-Control", "")
        wanted = cache_expected is CacheExpected.YES
        word = "a cacheable" if wanted else "an uncacheable"
        _check(
            _may_be_cached(cache_control) is wanted,
            response,
            f"Cache-Control is {cache_control!r}, expected {word} answer",
        )


def _may_be_cached(cache_control: str) -> bool | None:
    """None where the header does not say it: a cache may then do as it likes."""
    words = {word.strip().lower() for word in cache_control.split(",")}
    if words & {"no-cache", "no-store", "max-age=0"}:
        return False
    return True if any(re.fullmatch(r"(s-maxage|max-age)=[1-9]\d*", word) for word in words) else None


def _json(response: requests.Response) -> Any:
    if response.status_code == requests.codes.no_content:
        return None
    kind = response.headers.get("Content-Type", "").partition(";")[0].strip()
    _check(kind == "application/json" or kind.endswith("+json"), response, f"expected JSON, not {kind!r}")
    return response.json()


def _check(holds: bool, response: requests.Response, reason: str) -> None:
    if not holds:
        request = response.request
        raise AssertionError(
            f"{request.method} {request.url} answered {response.status_code}: {reason}\n{response.text[:2000]}"
        )
