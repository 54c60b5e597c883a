"""Checks that the files of a data set are all there, each once."""

import fnmatch
import itertools
import json
import os
import re
from collections.abc import Sequence

from jslim.core.errors import DataError
from jslim.host.files import read_regular
from jslim.host.limits import TEXT_BYTES

# Files beside those of records that are not records: descriptions, labels, checksums.
_NO_RECORDS = (
    ".crc32", ".csv", ".json", ".labels", ".log", ".md", ".md5", ".pbtxt", ".sha1", ".sha256",
    ".sum", ".txt", ".xml", ".yaml", ".yml",
)  # fmt: skip
_SHARD = re.compile(r"(?P<stem>.*?)[-_.]?(?P<index>\d{1,18})-of-(?P<count>\d{1,18})(?!\d)")
_EXTENSION = re.compile(
    r"\.(tfrecords?|tfrec|records?|array_?record|gz|gzip|zlib|zst|bz2|xz)$", re.IGNORECASE
)
# Ends of the names of copies, before the extension or after it.
_COPY = re.compile(
    r"([ _.-]*(\(copy( \d+)?\)|copy([ _-]?\d+)?|\(\d+\)|kopie)"
    r"|\.(bak|backup|bck|copy|new|old|orig|part|sav|save|swp|tmp|temp)\d*|~\d*)$",
    re.IGNORECASE,
)
_NUMBER = re.compile(r"[ ._-]\d+$")


def is_of_records(path: str) -> bool:
    """Whether a file may hold records, by its name."""
    return not path.lower().endswith(_NO_RECORDS)


def _stripped(name: str, *patterns: re.Pattern[str]) -> str:
    """The name without all ends that any of the patterns finds."""
    shorter = name
    while shorter:
        name = shorter
        for pattern in patterns:
            shorter = pattern.sub("", shorter)
        if shorter == name:
            break
    return name


def _base_and_shard(name: str) -> tuple[str, re.Match[str] | None]:
    """The common part of the names of one set, and the match of its number of shard and shards."""
    shard = _SHARD.match(name)
    if shard:  # a number behind it can only be the number of a copy
        rest = f"x{name[shard.end() :]}"
        name = shard["stem"] + _stripped(rest, _EXTENSION, _COPY, _NUMBER)[1:]
    return _stripped(name, _EXTENSION, _COPY), shard


def check_shards(paths: Sequence[str], pattern: str | None = None) -> None:
    """Refuses files of which some are missing, or that hold the same records twice.

    Args:
      paths: The files.
      pattern: The pattern that found them, if any; only shards that it would find can be missing.

    Raises:
      DataError: A shard is missing, there are two sets of shards side by side, or copies.
    """
    sets: dict[tuple[str, str], list[tuple[str, re.Match[str] | None]]] = {}
    for path in filter(is_of_records, paths):
        folder, name = os.path.split(path)
        base, shard = _base_and_shard(name)
        sets.setdefault((folder, base), []).append((name, shard))
    for (folder, base), files in sets.items():
        _check_set(folder, base, files, pattern)
        number = _NUMBER.search(base)
        if number and (
            original := sets.get((folder, _stripped(base[: number.start()], _EXTENSION)))
        ):
            _refuse_doubled(folder, [original[0][0], files[0][0]])


def _check_set(
    folder: str, base: str, files: list[tuple[str, re.Match[str] | None]], pattern: str | None
) -> None:
    kinds: dict[tuple[str, str], str] = {}
    for name, shard in files:
        kind = (shard["count"], name[shard.end() :]) if shard else ("", name)
        kinds.setdefault(kind, name)
    if len(kinds) > 1:
        _refuse_doubled(folder, sorted(kinds.values()))
    shards = [shard for _, shard in files if shard]
    if not shards:
        return
    count, found = int(shards[0]["count"]), {int(shard["index"]) for shard in shards}
    if len(found) < len(shards) or max(found) >= count:
        raise DataError(
            f"the shards {', '.join(repr(name) for name, _ in files[:5])} in {folder!r} are not "
            f"numbered from 0 to {count - 1}, each once; delete or rename those that do not belong"
        )
    name, (start, end) = files[0][0], shards[0].span("index")
    others = (
        f"{name[:start]}{index:0{end - start}d}{name[end:]}"
        for index in range(count)
        if index not in found
    )
    if pattern:
        others = (other for other in others if fnmatch.fnmatch(other, os.path.basename(pattern)))
    if missing := list(itertools.islice(others, 6)):
        more = " and more" if len(missing) > 5 else ""
        raise DataError(
            f"of the {count} shards of {base!r} in {folder!r}, {len(found)} are there, and not "
            f"{', '.join(map(repr, missing[:5]))}{more}; copy what is missing, or name the files "
            "that are to be read"
        )


def _refuse_doubled(folder: str, names: Sequence[str]) -> None:
    raise DataError(
        f"{' and '.join(map(repr, names[:3]))} in {folder!r} look like two copies of the same "
        "records; delete or move one of them, or name the files that are to be read"
    )


def read_plan(path: str | os.PathLike[str]) -> dict[str, object] | None:
    """The note of `jslim-convert` beside the files of a split; None where there is none."""
    try:
        plan = json.loads(read_regular(path, TEXT_BYTES))
    except (OSError, ValueError, RecursionError):
        return None
    return plan if isinstance(plan, dict) and isinstance(plan.get("num_images"), int) else None


def check_count(paths: Sequence[str], num_records: int) -> None:
    """Refuses files with another number of records than the notes beside them say.

    Raises:
      DataError: The numbers differ.
    """
    places = {path: _base_and_shard(os.path.basename(path))[0] for path in paths}
    notes = [os.path.join(os.path.dirname(path), f"{base}.json") for path, base in places.items()]
    plans = {note: read_plan(note) for note in dict.fromkeys(notes)}
    said = [plan for plan in plans.values() if plan]
    if not said or len(said) < len(plans):
        return  # some files have no note
    most = sum(int(str(plan["num_images"])) for plan in said)
    skipped = sum(n for plan in said if isinstance(n := plan.get("skip_bad_records", 0), int))
    if not most - skipped <= num_records <= most:
        raise DataError(
            f"{' and '.join(map(repr, list(plans)[:3]))} says that there are "
            f"{most} records, and the files hold {num_records}; convert the images again, or "
            "delete it if the files are right"
        )
