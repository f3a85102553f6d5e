"""Parquet files of a data set on the Hugging Face hub; needs a network once, then the hub's own cache."""

from __future__ import annotations

import re
from pathlib import Path

from rethinker.errors import DatasetError

NAME = re.compile(r"[\w.-]+/[\w.-]+")


def located(path: str, *, revision: str = "") -> Path:
    """A local file or folder as it is; else the folder where the hub's data set of this name was put.

    Raises:
        DatasetError: it is neither here nor a name on the hub, or the hub cannot be reached.
    """
    if Path(path).exists() or not NAME.fullmatch(path) or path.endswith(".parquet"):
        return Path(path)
    from huggingface_hub import snapshot_download

    try:
        folder = snapshot_download(path, repo_type="dataset", revision=revision or None, allow_patterns="*.parquet")
    except (OSError, ValueError) as error:
        reason = str(error).partition("\n")[0]
        raise DatasetError(
            f"{path} is no file or folder here, and could not be had from the hub ({reason}); where there is a network "
            f"run `hf download {path} --repo-type dataset --include '*.parquet' --local-dir FOLDER`; then set "
            "data.path=FOLDER"
        ) from error
    return Path(folder)
