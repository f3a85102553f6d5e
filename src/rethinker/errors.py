"""The errors a user can meet. Each says what was wrong, the value, and the fix.

Only failures that cross a boundary (configuration, data, disk, a worker) are named here; broken invariants of our
own are `assert`s. Every class derives from `RethinkerError`, so the command line prints the message alone.
"""

from __future__ import annotations


class RethinkerError(Exception):
    """Base of every error whose message is meant for the user; the command line shows it without a traceback."""


class ConfigError(RethinkerError, ValueError):
    """The configuration is wrong: an unknown key, a value out of range, a combination that cannot work."""


class DataError(RethinkerError, ValueError):
    """One row of a data set cannot become a problem; the row is quarantined and counted."""


class ColumnError(DataError):
    """A row's column holds something else than was expected.

    Attributes:
        column: Its name; "a or b" where either could hold it.
    """

    def __init__(self, message: str, *columns: str) -> None:
        super().__init__(f"column {' or '.join(map(repr, columns))}: {message}")
        self.column = " or ".join(columns)


class ImageError(ColumnError):
    """An image that a row names or holds cannot be used."""


class MarksError(ColumnError):
    """The image marks of a row's question do not fit its images."""


class DatasetError(RethinkerError, ValueError):
    """A whole data set is unusable: missing, empty, or too large a share of its rows quarantined."""


class ModelError(RethinkerError, ValueError):
    """A model folder cannot be loaded, or its processor and forward do not fit together."""


class PreflightError(RethinkerError):
    """A known right answer did not score 1, or a known wrong one did not score 0, through the whole path."""


class RunFolderError(RethinkerError, OSError):
    """A run folder is missing, unwritable, in use, or holds something that does not fit."""


class CheckpointError(RethinkerError):
    """A checkpoint is missing, damaged, of another configuration, or could not be written."""


class DamagedCheckpointError(CheckpointError):
    """A file of a checkpoint is missing, or is not what was saved; the checkpoint before it may be whole."""


class ClusterError(RethinkerError):
    """The processes of a run cannot be had as asked: no room for them, sizes that do not fit, an address in vain."""


class RankLostError(RethinkerError):
    """A process of a run died, hangs, or cannot be reached; the run can go on from its last checkpoint."""


class OutOfMemoryError(RethinkerError):
    """The memory of the device, or of the system, was not enough; what was saved is."""


class JudgeError(RethinkerError):
    """A judge gave no usable answer to one question; its row has no verdict, and is counted."""


class Interrupted(RethinkerError):  # noqa: N818 (a stop asked for, not a failure)
    """A signal asked the run to stop; the step was finished and saved.

    Attributes:
        exit_code: 130 after Ctrl-C, 143 after SIGTERM.
    """

    def __init__(self, message: str, *, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code
