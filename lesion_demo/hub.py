"""Checkpoints on the Hugging Face Hub: fetched at one commit, safetensors and JSON alone, never a pickle."""

from __future__ import annotations

import logging
import re
from pathlib import Path

from lesion_demo.errors import CheckpointError
from lesion_demo.run_folder import KNOWN_FILE, META_FILE, WEIGHTS_FILE

log = logging.getLogger(__name__)

NAME = re.compile(r"[\w.-]+/[\w.-]+", re.ASCII)
"""OWNER/NAME, as the Hub calls a model, a data set or a Space."""
COMMIT = re.compile(r"[0-9a-f]{40}")


def fetch(name: str, revision: str) -> Path:
    """The folder with the checkpoint of the model `name` (OWNER/NAME) on the Hub, as it was at `revision`.

    What is there already, in the Hub's own cache, is not fetched again; at a commit, the Hub is not even asked. The
    files vouch for each other: `load_checkpoint` compares the weights with the hash in `checkpoint.json`.

    Args:
        revision: a commit (40 hexadecimal digits), or a branch or tag, whose commit now is logged.

    Raises:
        CheckpointError: the Hub cannot be asked, has no such model or revision, or there is no checkpoint in it.
    """
    if not NAME.fullmatch(name):
        raise CheckpointError(f"{name!r} is not a model on the Hub: give owner and name, as in clinic/lesions.")
    try:
        commit = revision if COMMIT.fullmatch(revision) else _commit_of(name, revision)
        return _fetch_files(name, commit)
    except refusals() as error:
        why = next(iter(str(error).strip().splitlines()), "") or type(error).__name__
        raise CheckpointError(
            f"{name} could not be fetched from the Hub at the revision {revision} ({why.rstrip('.')}): check both, and "
            "check that you have access (HF_TOKEN, or 'hf auth login')."
        ) from error


def refusals() -> tuple[type[Exception], ...]:
    """What the Hub's library raises where the Hub cannot be asked or refuses; its own HTTP library has changed once."""
    from huggingface_hub import errors

    return (errors.HTTPError, errors.HFValidationError, OSError)


def _commit_of(name: str, revision: str) -> str:
    """What the branch or tag `revision` stands for now; it may stand for something else tomorrow."""
    from huggingface_hub import HfApi

    commit = HfApi().model_info(name, revision=revision).sha
    if commit is None or not COMMIT.fullmatch(commit):
        raise CheckpointError(
            f"The Hub does not say which commit the revision {revision} of {name} points to; give a commit."
        )
    log.warning(
        "%s at %s is the commit %s: use this as the revision to always get the same model.", name, revision, commit
    )
    return commit


def _fetch_files(name: str, commit: str) -> Path:
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import RemoteEntryNotFoundError

    from lesion_demo.checkpoint import read_meta

    def get(file: str) -> Path:
        return Path(hf_hub_download(name, file, revision=commit, library_name="lesion-demo"))

    try:
        folder = get(META_FILE).parent
        get(WEIGHTS_FILE)
        if read_meta(folder).known_sha256:
            get(KNOWN_FILE)
    except RemoteEntryNotFoundError as error:
        raise CheckpointError(f"{name} holds no checkpoint of this project at the commit {commit}.") from error
    return folder
