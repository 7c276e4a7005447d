"""enwik8: the first 100,000,000 bytes of a Wikipedia dump, a benchmark for byte-level models."""

import hashlib
import shutil
import tempfile
import zlib
from dataclasses import dataclass, field
from http.client import HTTPException
from pathlib import Path
from urllib.request import urlopen
from zipfile import BadZipFile, ZipFile

ENWIK8_URL = "http://mattmahoney.net/dc/enwik8.zip"
ENWIK8_BYTES = 100_000_000
ENWIK8_MD5 = "a1fa5ffddb56f4953e226637dabbb36a"

_TIMEOUT_S = 60
_ZIP_MAGIC = b"PK\x03\x04"


@dataclass(frozen=True)
class ByteSplits:
    """The three parts of a corpus, in the order in which they follow each other in it.

    Attributes:
        train: the first part, for training.
        valid: the second, for validation.
        test: the last, for the final test.
    """

    train: bytes = field(repr=False)
    valid: bytes = field(repr=False)
    test: bytes = field(repr=False)


def load_enwik8(
    path: str | Path | None = None,
    *,
    download: bool = False,
    cache: str | Path | None = None,
    strict: bool = True,
) -> ByteSplits:
    """The corpus in its standard split: 90, 5 and 5 million bytes.

    Args:
        path: the file, raw or as the published zip. Without it, the file is looked for in `cache`.
        download: fetch it (36 MB) into `cache` unless it is there. Nothing else uses the network.
        cache: a folder; `~/.cache/sparse_transformers` unless given.
        strict: accept nothing but enwik8, by size and MD5 checksum. False splits the bytes of any
            file 90/5/5 by position, such as a short prefix of enwik8.

    Raises:
        FileNotFoundError: the file is not there and no download was asked for.
        ConnectionError: the download failed.
        ValueError: the file is not enwik8 or a damaged zip, or has too few bytes to split, or
            both `path` and `download` are given.

    Source: Mahoney 2006, mattmahoney.net/dc/textdata.html, for size and checksum; the split is
    that of Al-Rfou et al. 2018, arXiv:1808.04444.

    Example:
        >>> import sparse_transformers as st
        >>> import tempfile
        >>> from pathlib import Path
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     _ = (Path(folder) / "prefix").write_bytes(bytes(100))
        ...     splits = st.load_enwik8(Path(folder) / "prefix", strict=False)
        >>> len(splits.train), len(splits.valid), len(splits.test)
        (90, 5, 5)
    """
    if path is not None:
        if download:
            raise ValueError(f"download must be False where path is given, got path={str(path)!r}")
        if not Path(path).is_file():
            raise FileNotFoundError(f"{path} is not a file: get {ENWIK8_URL} and put it there")
        return _read_splits(Path(path), strict)
    folder = Path(cache) if cache is not None else Path.home() / ".cache" / "sparse_transformers"
    for candidate in (folder / "enwik8", folder / "enwik8.zip"):
        if candidate.is_file():
            return _read_splits(candidate, strict)
    if not download:
        raise FileNotFoundError(
            f"{folder} does not hold enwik8: get {ENWIK8_URL} and put it at "
            f"{folder / 'enwik8.zip'}, or pass download=True"
        )
    return _download(folder / "enwik8.zip")


def _download(target: Path) -> ByteSplits:
    """Fetch the zip; `target` exists only once its content is known to be right."""
    target.parent.mkdir(parents=True, exist_ok=True)
    # Beside the target, because only within one file system is the renaming atomic.
    with tempfile.TemporaryDirectory(dir=target.parent, prefix="enwik8-") as scratch:
        partial = Path(scratch) / target.name
        try:
            with urlopen(ENWIK8_URL, timeout=_TIMEOUT_S) as response, partial.open("wb") as file:
                shutil.copyfileobj(response, file)
        except (OSError, HTTPException) as error:
            raise ConnectionError(
                f"could not download {ENWIK8_URL} ({error}): get it in another way and put it at "
                f"{target}"
            ) from error
        try:
            splits = _read_splits(partial, strict=True)
        except ValueError as error:
            raise ValueError(f"{ENWIK8_URL} sent something else, now deleted: {error}") from error
        partial.replace(target)
    return splits


def _read_splits(path: Path, strict: bool) -> ByteSplits:
    content = _read_bytes(path, limit=ENWIK8_BYTES + 1 if strict else -1)
    if strict:
        _check_enwik8(path, content)
    held_out = len(content) // 20
    if held_out == 0:
        raise ValueError(f"{path} must hold at least 20 bytes to be split, got {len(content)}")
    valid_start, test_start = len(content) - 2 * held_out, len(content) - held_out
    return ByteSplits(content[:valid_start], content[valid_start:test_start], content[test_start:])


def _read_bytes(path: Path, limit: int) -> bytes:
    """The first `limit` bytes (-1: all) of the file, or of the enwik8 in it if it is a zip."""
    with path.open("rb") as file:
        is_zip = file.read(len(_ZIP_MAGIC)) == _ZIP_MAGIC
        file.seek(0)
        if not is_zip:
            return file.read(limit)
        try:
            with ZipFile(file) as archive, archive.open("enwik8") as member:
                return member.read(limit)
        # RuntimeError: encrypted or compressed in an unknown way; KeyError: no such member.
        except (BadZipFile, EOFError, KeyError, RuntimeError, zlib.error) as error:
            raise ValueError(
                f"{path} must be a zip that holds enwik8, got one that cannot be read ({error}); "
                f"delete it and get {ENWIK8_URL} again"
            ) from error


def _check_enwik8(path: Path, content: bytes) -> None:
    if len(content) != ENWIK8_BYTES:
        size = "more" if len(content) > ENWIK8_BYTES else f"{len(content):,}"
        problem = f"must hold the {ENWIK8_BYTES:,} bytes of enwik8, got {size}"
    else:
        checksum = hashlib.md5(content, usedforsecurity=False).hexdigest()
        if checksum == ENWIK8_MD5:
            return
        problem = f"must have enwik8's MD5 checksum {ENWIK8_MD5}, got {checksum}"
    raise ValueError(
        f"{path} {problem}; get {ENWIK8_URL} again, or pass strict=False to split whatever it "
        "holds 90/5/5"
    )
