"""How many files and connections a process may have open."""

from __future__ import annotations

import resource


def allow_open_files(count: int) -> None:
    """Raise the soft limit to so many, as far as the system lets us: a server of many connections needs more than the
    usual 1,024."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = count if hard == resource.RLIM_INFINITY else min(count, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
