"""Fetch a file by its URL: resumed after a cut, tried again after a pause, and kept only if its SHA-256 is right."""

import hashlib
import http.client
import random
import re
import ssl
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tenacity import RetryCallState, Retrying, retry_if_exception_type

from thaw.pipeline_config.errors import DatasetError, DownloadError
from thaw.pipeline_config.messages import text_without_secrets, without_secrets
from thaw.tasks.artifacts.atomic import make_folder
from thaw.tasks.artifacts.refusals import writing
from thaw.tasks.pace import AtMostEvery
from thaw.tasks.process import Reporter

_FRUITLESS_ATTEMPTS = 5  # in a row, without a byte more; then whoever called may try later
_ATTEMPTS = 100  # a server that gives a few bytes each time must not keep a run for ever
_FIRST_PAUSE = 1.0  # seconds; it doubles with each fruitless attempt, and a random share of it is waited
_LONGEST_PAUSE = 30.0
_SECONDS_OF_SILENCE = 30.0
_SECONDS_BETWEEN_LINES = 0.5
_CHUNK = 1 << 18

_RETRIED_CODES = (408, 425, 429, 500, 502, 503, 504, 507, 509)  # what HTTP calls temporary
_CONTENT_RANGE = re.compile(r"bytes (\d+)-\d+/(\d+|\*)")
_REMEDY = "Check the address and the network, or give a folder with the images by --data DIR."


class _BrokenOffError(Exception):
    """The transfer broke off, in a way that another attempt may mend."""


def download(url: str, sha256: str, part: Path, *, max_bytes: int, report: Reporter) -> None:
    """Fetch a file to `part`, which nobody else may write. What an attempt that was cut short has left is gone on with.

    The URL is http, https or file; redirects are followed, and the environment's proxies are used.

    Raises:
        DownloadError: The file cannot be fetched, or its SHA-256 is another one; then nothing of it is kept.
        DatasetError: The file is longer than allowed.
        ArtifactError: The file cannot be written.
    """
    _Transfer(url, sha256, part, max_bytes, report).run()


class _Transfer:
    """One file on its way, over as many attempts as it takes."""

    def __init__(self, url: str, sha256: str, part: Path, max_bytes: int, report: Reporter) -> None:
        self._url, self._sha256, self._part, self._max_bytes, self._report = url, sha256, part, max_bytes, report
        self._name = without_secrets(url)
        self._opener = urllib.request.build_opener()  # follows redirects, and reads the environment's proxies now
        self._hash = hashlib.sha256()
        self._received = 0
        self._total: int | None = None
        self._version: str | None = None  # what the server calls the file's present content
        self._in_pieces = False
        self._started_over = False
        self._fruitless = 0
        self._is_due = AtMostEvery(_SECONDS_BETWEEN_LINES)

    def run(self) -> None:
        make_folder(self._part.parent)
        self._take_up()
        if self._is_whole and self._part.exists():
            return
        attempts = Retrying(
            retry=retry_if_exception_type(_BrokenOffError),
            stop=lambda state: self._fruitless >= _FRUITLESS_ATTEMPTS or state.attempt_number >= _ATTEMPTS,
            wait=self._pause,
            before_sleep=self._tell,
            reraise=True,
        )
        try:
            attempts(self._attempt)
        except _BrokenOffError as error:
            raise self._failure(str(error)) from error

    @property
    def _is_whole(self) -> bool:
        return self._hash.hexdigest() == self._sha256

    def _attempt(self) -> None:
        before = self._received
        try:
            with self._open() as response:
                self._begin(response)
                self._receive(response)
        except (http.client.HTTPException, _BrokenOffError) as error:
            if not self._is_whole:  # it may be: a length that is too great lets one wait for more than there is
                raise _BrokenOffError(str(error) or type(error).__name__) from error
        finally:
            self._fruitless = 0 if self._received > before else self._fruitless + 1
        self._check()

    def _open(self) -> Any:
        headers = {"User-Agent": "thaw"}
        if self._received:
            headers["Range"] = f"bytes={self._received}-"
            if self._version is not None:
                headers["If-Range"] = self._version  # whole and from the beginning, if it is another file by now
        request = urllib.request.Request(self._url, headers=headers)  # noqa: S310 (the recipe allows three schemes)
        try:
            return self._opener.open(request, timeout=_SECONDS_OF_SILENCE)
        except urllib.error.HTTPError as error:
            error.close()
            if error.code == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE and self._received:
                self._reset()
                raise _BrokenOffError("the server has fewer bytes than were received before") from error
            text = f"the server answers {error.code} {error.reason}"
            # Without the cause, whose reason may quote the address that the server leads to.
            raise (_BrokenOffError(text) if error.code in _RETRIED_CODES else self._failure(text)) from None
        except http.client.InvalidURL:
            raise self._failure("the server leads to an address that is not valid") from None
        except OSError as error:  # a URLError for a reason, or the connection was cut before an answer came
            reason = error.reason if isinstance(error, urllib.error.URLError) else error
            text = (reason.strerror or str(reason)) if isinstance(reason, OSError) else str(reason)
            is_final = isinstance(reason, ssl.SSLCertVerificationError) or urlsplit(self._url).scheme == "file"
            raise (self._failure(text) if is_final else _BrokenOffError(text)) from error

    def _begin(self, response: Any) -> None:
        """Find out where in the file the answer begins, and how long the file is."""
        length = response.headers.get("Content-Length", "")
        self._total = int(length) if length.isdecimal() else None
        if response.status == http.HTTPStatus.PARTIAL_CONTENT and self._received:
            found = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", ""))
            if found is None or int(found[1]) != self._received:
                self._reset()
                raise _BrokenOffError("the server answers with another range than it was asked for")
            self._in_pieces = True
            if self._total is not None:
                self._total += self._received
        elif self._received:
            self._reset()
        if self._total is not None and self._total > self._max_bytes:
            raise self._too_long()
        version = response.headers.get("ETag") or response.headers.get("Last-Modified")
        self._version = None if version is None or version.startswith("W/") else version

    def _receive(self, response: Any) -> None:
        with writing(self._part), self._part.open("ab") as file:
            while chunk := _read(response):
                if self._received + len(chunk) > self._max_bytes:
                    raise self._too_long()
                file.write(chunk)
                file.flush()
                self._hash.update(chunk)
                self._received += len(chunk)
                self._show()

    def _check(self) -> None:
        if self._is_whole:
            return
        if self._total is not None and self._received < self._total:
            raise _BrokenOffError(f"the connection ended after {self._received} of {self._total} bytes")
        found, received = self._hash.hexdigest(), self._received
        doubtful = self._in_pieces or self._total is None  # pieces of two files, or a cut that looks like the end
        self._reset()
        if doubtful and not self._started_over:
            self._started_over = True
            raise _BrokenOffError(f"the {received} bytes received are not the file that was declared")
        with writing(self._part):
            self._part.unlink()
        raise DownloadError(
            f"{self._name} is not the file that was declared: received {received} bytes with SHA-256 {found}, expected "
            f"{self._sha256}. It was removed. Compare dataset.source.sha256 with what the publisher states."
        )

    def _take_up(self) -> None:
        with writing(self._part):
            if not self._part.exists():
                return
            with self._part.open("rb") as file:
                self._hash = hashlib.file_digest(file, "sha256")
                self._received = file.tell()
        self._in_pieces = True

    def _reset(self) -> None:
        with writing(self._part):
            self._part.write_bytes(b"")
        self._hash, self._received, self._in_pieces = hashlib.sha256(), 0, False

    def _show(self) -> None:
        if not self._is_due() and self._received != self._total:
            return
        text = f"{self._received / 10**6:.1f}"
        if self._total:
            self._report.progress(self._received / self._total, f"{text} of {self._total / 10**6:.1f} MB downloaded")
        else:
            self._report.progress(0, f"{text} MB downloaded")

    def _pause(self, state: RetryCallState) -> float:
        del state  # it counts the attempts that brought something, too
        longest = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2.0 ** max(self._fruitless - 1, 0))
        return random.uniform(0.5, 1) * longest

    def _tell(self, state: RetryCallState) -> None:
        reason = text_without_secrets(str(state.outcome.exception())) if state.outcome else None
        seconds = state.next_action.sleep if state.next_action else 0
        self._report.log(
            f"The download of {self._name} broke off: {reason}. Going on from byte {self._received} in {seconds:.0f} s."
        )

    def _failure(self, text: str) -> DownloadError:
        return DownloadError(f"{self._name} cannot be downloaded: {text}. {_REMEDY}")

    def _too_long(self) -> DatasetError:
        with writing(self._part):
            self._part.unlink(missing_ok=True)
        return DatasetError(
            f"{self._name} has more than {self._max_bytes} bytes, which is dataset.source.max_gigabytes. "
            "Raise it if the file is what you want."
        )


def _read(response: Any) -> bytes:
    try:
        chunk: bytes = response.read1(_CHUNK)
    except OSError as error:  # of the network, and not of the file that is written
        raise _BrokenOffError(error.strerror or str(error)) from error
    return chunk
