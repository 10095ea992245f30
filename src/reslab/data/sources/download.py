"""Download of one file, resumed after an interruption and checked before it gets its name."""

import hashlib
import http.client
import logging
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

from filelock import FileLock
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn, TransferSpeedColumn

from reslab.errors import RunError

log = logging.getLogger(__name__)

Report = Callable[[int, int], None]  # bytes done, bytes in total (0: not known)
_CHUNK = 1 << 18
_TIMEOUT_SECONDS = 30


def download(url: str, path: Path, md5: str, report: Report | None = None) -> None:
    """Download a file unless it exists, resuming an interrupted download.

    If several processes need the file at once, one downloads it and the others wait.

    Args:
        url: Address of the file.
        path: Where to put it.
        md5: Its checksum; a file with another one is removed.
        report: Called with (bytes done, bytes in total) during the download; by default progress is shown.

    Raises:
        RunError: The file cannot be downloaded or written, or has another checksum.
    """
    try:
        if path.exists():  # perhaps in a folder that cannot be written
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = path.with_name(f".{path.name}.lock")
        with FileLock(lock):
            try:
                if not path.exists():
                    _download(url, path, md5, report)
            finally:
                # Removing a lock could let two in at once. Here that is harmless: with the file in its place nobody
                # downloads, and after a failure the checksum finds what two have written into one part.
                lock.unlink(missing_ok=True)
    except OSError as error:
        raise RunError(f"{path}: cannot be written: {error.strerror or error}.") from None


def _download(url: str, path: Path, md5: str, report: Report | None) -> None:
    part = path.with_name(path.name + ".part")
    log.info("fetching %s to %s", url, path)
    try:
        if report is not None:
            _fetch(url, part, report)
        else:
            _fetch_with_progress(url, part)
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", None) or str(error) or type(error).__name__
        raise RunError(
            f"{url} cannot be downloaded ({reason}). Try again (the part received so far is kept), download it by hand "
            f"to {path}, or set data.path to where you have it."
        ) from None
    actual = _md5(part)
    if actual != md5:
        part.unlink()
        raise RunError(
            f"{url}: the file's MD5 is {actual}, not {md5}; it was removed. Try again, or download it by hand."
        )
    part.replace(path)


def _fetch(url: str, part: Path, report: Report) -> None:
    done = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={done}-"} if done else {})
    try:
        response = urllib.request.urlopen(request, timeout=_TIMEOUT_SECONDS)
    except urllib.error.HTTPError as error:
        if error.code == 416:  # the file is complete; the checksum is verified afterwards
            return
        raise
    with response:
        if done and response.status != 206:  # the server cannot resume and sends the whole file
            done = 0
        total = done + int(response.headers.get("Content-Length") or 0)
        with part.open("ab" if done else "wb") as file:
            while chunk := response.read(_CHUNK):
                file.write(chunk)
                done += len(chunk)
                report(done, total)
        if done < total:
            raise OSError(f"interrupted after {done} of {total} bytes")


def _fetch_with_progress(url: str, part: Path) -> None:
    console = Console(stderr=True)
    if not console.is_terminal:
        _fetch(url, part, _plain_lines(part))
        return
    columns = (BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    with Progress("{task.description}", *columns, console=console) as progress:
        task = progress.add_task(part.stem, total=None)
        _fetch(url, part, lambda done, total: progress.update(task, completed=done, total=total or None))


def _plain_lines(part: Path) -> Report:
    """Log a line every tenth of the way."""
    last = -1

    def report(done: int, total: int) -> None:
        nonlocal last
        tenth = 10 * done // total if total else -1
        if tenth > last:
            last = tenth
            log.info("%s: %d %% of %.0f MB", part.stem, 10 * tenth, total / 1e6)

    return report


def _md5(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "md5").hexdigest()
