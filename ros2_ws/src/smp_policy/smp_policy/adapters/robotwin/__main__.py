"""Our adapters in a checkout of RoboTwin 2.0, of either branch: put there, taken out again.

    python -m smp_policy.adapters.robotwin install ROOT
    python -m smp_policy.adapters.robotwin remove ROOT

A file that is not ours, or was changed since, is never overwritten nor removed. What was put there is written down in
ROOT/.smp_policy.json. The checkout then runs this very software: keep it where it is, or install again.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from smp_policy.adapters.robotwin.checkout import CheckoutError, branch_of, content

MANIFEST, FORMAT = ".smp_policy.json", "smp-robotwin 1"


@dataclass(frozen=True)
class Args:
    """Put our adapters into a RoboTwin checkout, or take them out."""

    action: tyro.conf.Positional[Literal["install", "remove"]]
    root: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="ROOT")]
    """The checkout."""


@dataclass(frozen=True)
class Manifest:
    """What is ours in a checkout: path below it -> SHA-256, and the folders that were made for it."""

    files: dict[str, str]
    folders: tuple[str, ...]


def install(root: Path) -> str:
    """Put everything there; what happened, in words. Raises CheckoutError, and has then changed nothing."""
    branch = branch_of(root)
    wanted, before = content(root, branch), _read(root) or Manifest({}, ())
    if foreign := [name for name, data in wanted.items() if not _may_write(root / name, data, before.files.get(name))]:
        raise CheckoutError(
            f"{root}: not ours, or changed since: {', '.join(foreign)}; nothing was installed, move them away first"
        )
    folders = sorted({*before.folders, *_missing_folders(root, wanted)})
    digests = {name: _digest(data) for name, data in wanted.items()}
    # Before the files, with those of before: what is cut off here can still be removed.
    _save(root, Manifest(before.files | digests, tuple(folders)))
    for name, data in wanted.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        _put(root / name, data)
    obsolete = {name: digest for name, digest in before.files.items() if name not in wanted}
    kept = _take_out(root, obsolete)
    _save(root, Manifest(digests | {name: obsolete[name] for name in kept}, tuple(folders)))
    return f"{root} ({branch}): {len(wanted)} files installed; they run {Path(__file__).resolve().parents[3]}"


def remove(root: Path) -> str:
    """Take out what `install` put there; what happened, in words. Raises CheckoutError."""
    manifest = _read(root)
    if manifest is None:
        raise CheckoutError(f"{root}: nothing of ours is installed here, {MANIFEST} is missing")
    kept = _take_out(root, manifest.files)
    for folder in sorted(manifest.folders, reverse=True):
        if (root / folder).is_dir() and not any((root / folder).iterdir()):
            (root / folder).rmdir()
    (root / MANIFEST).unlink()
    left = f"; left there, because changed since: {', '.join(kept)}" if kept else ""
    return f"{root}: {len(manifest.files) - len(kept)} files removed{left}"


def _may_write(path: Path, data: bytes, ours: str | None) -> bool:
    """Nothing there, or what we put there, or what would be written anyway."""
    if not path.exists() and not path.is_symlink():
        return True
    return path.is_file() and not path.is_symlink() and _digest(path.read_bytes()) in (ours, _digest(data))


def _missing_folders(root: Path, names: dict[str, bytes]) -> set[str]:
    parents = {parent for name in names for parent in Path(name).parents}
    return {str(parent) for parent in parents if not (root / parent).exists()}


def _put(path: Path, data: bytes) -> None:
    partial = path.with_name(f".{path.name}.part")
    try:
        partial.write_bytes(data)
        partial.chmod(0o755 if path.suffix == ".sh" else 0o644)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def _take_out(root: Path, files: dict[str, str]) -> list[str]:
    """Remove `files` that are as we left them, and what Python compiled of them; those that are not."""
    kept = []
    for name, digest in files.items():
        path = root / name
        if path.is_file() and _digest(path.read_bytes()) != digest:
            kept.append(name)
            continue
        path.unlink(missing_ok=True)
        cache = path.parent / "__pycache__"
        for compiled in cache.glob(f"{path.stem}.*.pyc") if path.suffix == ".py" else ():
            compiled.unlink()
        if cache.is_dir() and not any(cache.iterdir()):
            cache.rmdir()
    return kept


def _read(root: Path) -> Manifest | None:
    path = root / MANIFEST
    if not path.is_file():
        return None
    try:
        values = json.loads(path.read_text())
        if values["format"] != FORMAT:
            raise ValueError(values["format"])
        return Manifest(dict(values["files"]), tuple(values["folders"]))
    except (ValueError, KeyError, TypeError) as error:
        raise CheckoutError(f"{path} is damaged, or of another software: {error}") from error


def _save(root: Path, manifest: Manifest) -> None:
    values = {"format": FORMAT, "files": manifest.files, "folders": manifest.folders}
    _put(root / MANIFEST, (json.dumps(values, indent=1, sort_keys=True) + "\n").encode())


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def main() -> None:
    """Do it and say so; exit code 1 and one sentence where it cannot be done."""
    args = tyro.cli(Args, prog="python -m smp_policy.adapters.robotwin", description=__doc__)
    try:
        print({"install": install, "remove": remove}[args.action](args.root))
    except CheckoutError as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        print("interrupted; the same line again goes on, remove takes out what is there", file=sys.stderr)
        sys.exit(130)
    except OSError as error:
        sys.exit(f"{error.filename or args.root}: {os.strerror(error.errno) if error.errno else error}")


if __name__ == "__main__":
    main()
