"""What `deploy` and `push` share: files chosen by name, listed, and uploaded to the Hugging Face Hub in one commit."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Protocol

from lesion_demo.errors import LesionDemoError
from lesion_demo.hub import refusals


class Api(Protocol):
    """What is asked of `huggingface_hub.HfApi`."""

    def create_repo(
        self, repo_id: str, *, repo_type: str, space_sdk: str | None, private: bool, exist_ok: bool
    ) -> Any: ...

    def repo_info(self, repo_id: str, *, repo_type: str) -> Any: ...

    def list_repo_files(self, repo_id: str, *, repo_type: str) -> list[str]: ...

    def create_commit(self, repo_id: str, operations: Any, *, commit_message: str, repo_type: str) -> Any: ...


@dataclass(frozen=True)
class Upload:
    """A file on the Hub: where it lies there, and the file here or the bytes that it is made of."""

    place: str
    source: Path | bytes

    @property
    def size(self) -> int:
        """In bytes."""
        return len(self.source) if isinstance(self.source, bytes) else self.source.stat().st_size


def add_dry_run(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--dry-run", action="store_true",
        help="list the files with their sizes and upload nothing, as without a token (HF_TOKEN, or hf auth login)",
    )  # fmt: skip


def listed(files: Sequence[Upload], target: str, *, dry_run: bool) -> str | None:
    """Print `files`, which go to `target`, and give the token to upload them with; None where nothing is to go."""
    from huggingface_hub import get_token

    for file in files:
        print(f"{file.size:>12,}  {file.place}")
    print(f"{sum(file.size for file in files):>12,}  bytes in {len(files)} files, for the {target}")
    token = None if dry_run else get_token()
    if token is None:
        why = "A dry run" if dry_run else "There is no token (HF_TOKEN, or 'hf auth login')"
        print(f"{why}: nothing was uploaded.")
    return token


def matching(root: Path, patterns: Sequence[str], place: PurePosixPath) -> Iterator[Upload]:
    """The files below `root` that match; links are none, as they may lead anywhere."""
    for pattern in patterns:
        for path in root.glob(pattern):
            inner = path.relative_to(root)
            hidden = any(part.startswith((".", "__pycache__")) for part in inner.parts)
            if path.is_file() and not hidden and not _through_link(root, inner):
                yield Upload((place / inner.as_posix()).as_posix(), path)


def _through_link(root: Path, inner: Path) -> bool:
    return any((root / part).is_symlink() for part in (inner, *inner.parents) if part != Path())


def upload(api: Api, name: str, files: Sequence[Upload], *, public: bool, kind: str = "space") -> list[str]:
    """Make the Space, or whatever `kind` is, if need be, and put `files` into it in one commit; returns what else lies
    there.

    Raises:
        LesionDemoError: it is public and was not to be, or the Hub refused.
    """
    from huggingface_hub import CommitOperationAdd

    what = f"The {'Space' if kind == 'space' else kind} {name}"
    try:
        sdk = "gradio" if kind == "space" else None
        api.create_repo(name, repo_type=kind, space_sdk=sdk, private=not public, exist_ok=True)
        if not public and not api.repo_info(name, repo_type=kind).private:
            raise LesionDemoError(f"{what} is already public: make it private first, or use --public.")
        operations = [
            CommitOperationAdd(file.place, file.source if isinstance(file.source, bytes) else str(file.source))
            for file in files
        ]
        api.create_commit(name, operations, commit_message="Upload lesion demo", repo_type=kind)
        there = api.list_repo_files(name, repo_type=kind)
    except refusals() as error:
        raise LesionDemoError(
            f"Uploading {what[0].lower()}{what[1:]} to the Hub failed ({error}): fix this and try again."
        ) from error
    return sorted(set(there) - {file.place for file in files} - {".gitattributes"})
