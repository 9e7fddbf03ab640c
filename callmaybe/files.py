"""Writing a file whole: a reader sees the old one or the new one, never a half."""

from pathlib import Path


def write_whole(path: Path, text: str) -> None:
    """Replaces the file's text atomically."""
    draft = path.with_name(f".{path.name}.part")
    draft.write_text(text, encoding="utf-8")
    draft.replace(path)
