"""Read and write files of other stores by URL, through fsspec."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from pipeline.errors import (
    PipelineError,
    SinkError,
    SourceError,
    UsageError,
    one_line,
)
from pipeline.inputs import changed
from pipeline.urls import redacted

# fsspec reads so much ahead. Parts of a file that are read apart must not read much
# more than themselves.
_AHEAD_BYTES = 4 * 1024 * 1024
# Not every server honours a range, and one request for the whole file is quicker.
_IN_ONE_GO = ("http", "https")
# What stores call the version of a file.
_VERSION_KEYS = (
    *("ETag", "etag", "Content-MD5", "Digest", "generation"),
    *("Last-Modified", "LastModified", "last_modified"),
    *("updated", "modified", "modify", "mtime", "created"),
)


@dataclass(frozen=True, slots=True)
class UrlFile:
    """A file as its store described it. It can be pickled."""

    url: str
    #: Bytes; None if the store does not say.
    size: int | None
    #: Whether it can be read from an offset.
    is_seekable: bool
    #: Differs from that of another content, as far as the store tells.
    version: str

    def head(self, size: int) -> bytes:
        """Return the first ``size`` bytes, or fewer if there are no more."""
        # A store refuses a range behind the end, as that of an empty file is.
        stop = size if self.size is None else min(size, self.size)
        if not stop:
            return b""
        with _named_failures(SourceError, self.url):
            system, path = _file_system(self.url)
            head: bytes = system.cat_file(path, start=0, end=stop)
            return head

    def open(self, offset: int, /) -> UrlReader:
        """Open the file for reading from an offset.

        Raises:
            SourceError: It can't be read, or is not what it was.
        """
        self.check_unchanged()
        return UrlReader(self, offset)

    def check_unchanged(self) -> None:
        """Raise SourceError if the store describes another content now."""
        if look_at(self.url) != self:
            raise changed(redacted(self.url), "written to")


class UrlReader:
    """Reads a file to its end; fails if the file has changed by then.

    Args:
        was: The file.
        offset: Where to begin; above 0 only if the file is seekable.
        on_waited: Called with the nanoseconds that each read took.
    """

    def __init__(
        self,
        was: UrlFile,
        offset: int = 0,
        on_waited: Callable[[int], None] = lambda _: None,
    ) -> None:
        self._was = was
        self._left = None if was.size is None else was.size - offset
        self._on_waited = on_waited
        with _named_failures(SourceError, was.url):
            system, path = _file_system(was.url)
            ahead = _AHEAD_BYTES if was.is_seekable else 0
            self._file = system.open(path, "rb", block_size=ahead)
            if offset:
                self._file.seek(offset)

    def read(self, size: int, /) -> bytes:
        """Return ``size`` bytes; fewer at the end, and then none.

        Raises:
            SourceError: They can't be read, or the file has changed.
        """
        size = size if self._left is None else min(size, self._left)
        block = b"".join(self._pieces(size))
        if self._left is not None:
            self._left -= len(block)
            if len(block) < size:
                raise changed(redacted(self._was.url), "truncated")
        if not block:
            self._was.check_unchanged()
        return block

    def _pieces(self, size: int) -> Iterator[bytes]:
        start = time.perf_counter_ns()
        try:
            while size:
                with _named_failures(SourceError, self._was.url):
                    piece = self._file.read(size)
                if not piece:
                    return
                yield piece
                size -= len(piece)
        finally:
            self._on_waited(time.perf_counter_ns() - start)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()


def look_at(url: str) -> UrlFile:
    """Return what the store says of the file at ``url``.

    Raises:
        SourceError: There is none, or it can't be read.
    """
    with _named_failures(SourceError, url):
        system, path = _file_system(url)
        # What was listed earlier may have changed.
        system.invalidate_cache()
        info = system.info(path)
        if info.get("type") == "directory":
            raise IsADirectoryError(21, "is a directory")
    size = info.get("size")
    in_one_go = size is None or url.partition("://")[0].lower() in _IN_ONE_GO
    version = " ".join(f"{key}={info[key]}" for key in _VERSION_KEYS if info.get(key))
    return UrlFile(url, size, is_seekable=not in_one_go, version=version)


def matching_urls(pattern: str) -> list[str]:
    """Return the URLs of the files that match a pattern with ``*``, sorted.

    A file whose URL is the pattern itself is the only one.

    Raises:
        SourceError: The store can't be asked.
    """
    with _named_failures(SourceError, pattern):
        system, path = _file_system(pattern)
        if system.isfile(path):
            return [pattern]
        found = system.glob(path, detail=True)
        # A URL may have a host and a user that the store's own paths lack.
        head, is_tail, _ = pattern.rpartition(path)
        return sorted(
            f"{head}{name}" if is_tail else system.unstrip_protocol(name)
            for name, info in found.items()
            if info["type"] == "file"
        )


def check_store(url: str) -> None:
    """Raise SinkError if the store of ``url`` can't be used; nothing is sent to it."""
    with _named_failures(SinkError, url):
        _file_system(url)


def put_file(path: Path, url: str) -> None:
    """Put a local file to ``url``, in place of an earlier one.

    Raises:
        SinkError: The store refuses.
    """
    with _named_failures(SinkError, url):
        system, target = _file_system(url)
        system.put_file(str(path), target)


def _file_system(url: str) -> tuple[Any, str]:
    """Return fsspec's file system of a URL, and the path of the file in it.

    Raises:
        UsageError: fsspec is not installed.
    """
    try:
        import fsspec
    except ImportError:
        raise UsageError(
            f"{redacted(url)}: a URL needs fsspec; "
            f"pip install 'pytest-grpc-pipeline[urls]'"
        ) from None
    system, path = fsspec.url_to_fs(url)
    return system, path


@contextmanager
def _named_failures(kind: type[SourceError | SinkError], url: str) -> Iterator[None]:
    """Turn whatever a store raises into an error of one line without secrets."""
    try:
        yield
    except PipelineError:
        raise
    except Exception as error:
        reads = kind is SourceError
        why = redacted(one_line(error))
        if isinstance(error, ImportError):
            why = f"{url.partition('://')[0]}:// needs another package: {why}"
        elif isinstance(error, FileNotFoundError):
            why = "no such file" if reads else "no such bucket or folder"
        raise kind(
            f"can't {'read' if reads else 'write'} {redacted(url)}: {why}"
        ) from error
