"""The pages of the documentation site that are made when it is built (`make docs`), as MkDocs hooks.

Presets come from configs/, messages from the sources, and `<!-- README: Heading -->` in a page is that part of the
README: each fact stands in one place.
"""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import yaml

from retrace.tools import ROOT

KINDS = {
    "tracker": "`Tracker.from_config(NAME)`, `retrace track --tracker NAME`; values by keyword or `--set KEY=VALUE`.",
    "reid": "`retrace.reid.fit(NAME, ...)`, `retrace train-reid --config NAME`.",
    "offline": "`retrace track --offline`, `retrace offline`.",
    "memory": "`retrace track --memory FILE`, `retrace.tracker.memory`.",
    "site": "`retrace link-cameras --config NAME`.",
    "bench": "`retrace bench-losses`: the protocol of the comparison of losses.",
    "tune": "`retrace tune`: which numbers of a preset are searched, and where.",
}
FOLDERS = ("configs", "reid", "tracker", "eval", "tools")
ASKS = re.compile(
    r"did you mean|known: |\bchoose\b|\bleave\b|\bone of\b|\bname another\b|\bgive\b| or [a-z`A-Z-]"
)
INCLUDE = re.compile(r"^<!-- README: (.+) -->$", re.M)
LINK = re.compile(r"(!?)\[([^\]]*)\]\((?!https?:|#)([^)]+)\)")


@dataclass(frozen=True, slots=True)
class Message:
    """What an InputError says: its words, with {what} stands for a value."""

    file: str  # in the checkout
    line: int
    text: str


def presets_page() -> str:
    """Every preset: what it is and where it is from, then its values with their comments."""
    parts = ["# Presets", "Made from the files in `configs/`. Durations are seconds.\n"]
    for kind, use in KINDS.items():
        parts.append(f"## {kind}\n\n{use}\n")
        for path in sorted((ROOT / "configs" / kind).glob("*.yaml")):
            text = path.read_text(encoding="utf-8")
            source = str((yaml.safe_load(text) or {}).get("source", "")).strip()
            parts.append(
                f"### {kind}: {path.stem}\n\n{source}\n\n```yaml\n{_without_source(text).strip()}\n```\n"
            )
    return "\n".join(parts)


def _without_source(text: str) -> str:
    """The file without its `source` key, comments kept."""
    return re.sub(r"^source:.*\n(?:(?:[ \t].*)?\n(?=[ \t]|$))*(?:[ \t].*\n)*", "", text, count=1, flags=re.M)


def messages_page() -> str:
    """Every message that asks for a choice, by folder and file."""
    parts = [
        "# Messages that ask for a choice",
        "Made from the sources: `{...}` stands for a value. Every mistake is an `InputError` of one line, which tools "
        "print before they end with exit code 2; where a word was not understood, the nearest known ones follow.\n",
    ]
    folder = file = ""
    for message in messages():
        if not ASKS.search(message.text):
            continue
        if message.file.split("/")[0] != folder:
            folder = message.file.split("/")[0]
            parts.append(f"## {folder}\n")
        if message.file != file:
            file = message.file
            parts.append(f"### {file}\n")
        parts.append(f"- `` {message.text} ``")
    return "\n".join(parts) + "\n"


def messages() -> list[Message]:
    """What every `InputError(...)` of the sources says, in the order of the files."""
    found = []
    for folder in FOLDERS:
        for path in sorted((ROOT / folder).rglob("*.py")):
            name, source = path.relative_to(ROOT).as_posix(), path.read_text(encoding="utf-8")
            if "InputError(" in source:
                found += [Message(name, line, text) for line, text in _errors(ast.parse(source))]
    return found


def _errors(tree: ast.AST) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Name)
            and node.func.id == "InputError"
            and node.args
        ):
            text = " ".join(_words(node.args[0]).split())
            if re.search("[a-z]{3}", re.sub(r"\{.*?\}", "", text)):  # not only a value
                yield node.lineno, text


def _words(node: ast.expr) -> str:
    """An expression that gives text, with {what} for what is not known before it happens."""
    match node:
        case ast.Constant(value=str(text)):
            return text
        case ast.JoinedStr():
            return "".join(
                _words(part.value if isinstance(part, ast.FormattedValue) else part) for part in node.values
            )
        case ast.BinOp(op=ast.Add(), left=ast.Constant(value=str()) | ast.JoinedStr()):
            return _words(node.left) + _words(node.right)
        case ast.Call(func=ast.Name(id="nearest")):
            return "did you mean {word}? known: {words}"
        case ast.Name() | ast.Attribute():
            return f"{{{ast.unparse(node).rpartition('.')[2]}}}"
        case _:
            return "{...}"


def readme_part(heading: str, readme: str | None = None) -> str:
    """The body of the README's section of that heading, its sub-sections included, links made to fit the site.

    Raises:
        KeyError: the README has no such heading.
    """
    text = (ROOT / "README.md").read_text(encoding="utf-8") if readme is None else readme
    lines, inside, level, kept = text.splitlines(), False, 0, []
    code = False
    for line in lines:
        code ^= line.startswith("```")
        marks, _, title = line.partition(" ")
        is_heading = not code and bool(marks) and set(marks) == {"#"}
        if is_heading and inside and len(marks) <= level:
            break
        if inside:
            kept.append(line)
        elif is_heading and title == heading:
            inside, level = True, len(marks)
    if not inside:
        raise KeyError(f"README.md has no part {heading!r}")
    return LINK.sub(_site_link, "\n".join(kept)).strip() + "\n"


def extras_table(text: str | None = None) -> str:
    """The extras of pyproject.toml, and what they bring."""
    told = (ROOT / "pyproject.toml").read_text(encoding="utf-8") if text is None else text
    extras = tomllib.loads(told)["project"]["optional-dependencies"]
    rows = [
        f"| `{name}` | {', '.join(re.split('[<>=]', one)[0] for one in needs)} |"
        for name, needs in extras.items()
    ]
    return "\n".join(["| extra | brings |", "|---|---|", *rows])


def families_table() -> str:
    """Every family of detectors that is recognised, what it wants to see and where its scores' map is from."""
    from retrace.tracker.detection.formats import FAMILIES
    from retrace.tracker.detection.scores import fit_of

    heads = ("family", "who puts it out", "outputs", "resize, colours, nms", "scores")
    rows = [heads, ("---",) * len(heads)]
    for name, family in FAMILIES.items():
        form, fit = family.format, fit_of(name)
        shown = f"{form.resize}, {form.colour}, {'none' if form.nms is None else form.nms}"
        told = f"{fit.slope:g}, {fit.shift:g}: {fit.source}" if fit.changes else "as they are"
        if not fit.changes:
            told += f": near the scale on {fit.source}" if fit.source else "; no labelled boxes at hand"
        rows.append((f"`{name}`", family.models, family.looks, shown, told))
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _site_link(found: re.Match[str]) -> str:
    """A link into docs/ goes there; what lies elsewhere in the checkout is named, not linked."""
    mark, words, target = found.groups()
    if target.startswith("docs/"):
        return f"{mark}[{words}]({target.removeprefix('docs/')})"
    return words if target in words else f"{words} (`{target}`)"


# -- MkDocs calls these


def on_files(files: Any, config: Any) -> Any:
    """Pages that are in no folder."""
    from mkdocs.structure.files import File

    for name, page in (("presets.md", presets_page), ("messages.md", messages_page)):
        files.append(File.generated(config, name, content=page()))
    changes = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    files.append(File.generated(config, "changelog.md", content=LINK.sub(_site_link, changes)))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Parts of the README, the extras and the families of detectors in their places."""
    markdown = markdown.replace("<!-- EXTRAS -->", extras_table())
    markdown = markdown.replace("<!-- FAMILIES -->", families_table())
    return INCLUDE.sub(lambda found: readme_part(found[1]), markdown)
