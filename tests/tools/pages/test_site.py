"""Pages that are made when the site is built."""

from __future__ import annotations

import ast
import re

import pytest
import yaml

from retrace.tools.pages import site
from retrace.tools.pages.site import (
    ASKS,
    _errors,
    extras_table,
    messages,
    messages_page,
    on_page_markdown,
    presets_page,
    readme_part,
)
from tests.conftest import ROOT

README = """# Name
## One
text [losses](docs/losses.md) and ![picture](docs/a.jpg)
### Inside
[`configs/x`](configs/x), [card](reid/card.md), [site](https://a.b)
```bash
# no heading
```
## Two
other
"""


def test_a_part_of_the_readme_ends_where_the_next_begins() -> None:
    assert readme_part("One", README).splitlines() == [
        "text [losses](losses.md) and ![picture](a.jpg)",
        "### Inside",
        "`configs/x`, card (`reid/card.md`), [site](https://a.b)",
        "```bash",
        "# no heading",
        "```",
    ]
    assert readme_part("Inside", README).count("\n") == 4
    assert readme_part("Two", README) == "other\n"
    with pytest.raises(KeyError, match="no part 'Three'"):
        readme_part("Three", README)


def test_a_page_gets_what_it_asks_for() -> None:
    made = on_page_markdown("a\n<!-- README: Start -->\nb\n<!-- EXTRAS -->\n")
    assert "make demo" in made
    assert "| `fast` | numba |" in made
    assert "<!--" not in made


def test_extras() -> None:
    told = extras_table('[project.optional-dependencies]\nyolo = ["ultralytics>=8.3", "torch==2"]\n')
    assert told.splitlines()[2:] == ["| `yolo` | ultralytics, torch |"]


def test_the_presets_are_all_there_with_every_value() -> None:
    page = presets_page()
    shown = re.findall(r"^### (\w+): (\w+)\n\n(.*?)\n\n```yaml\n(.*?)\n```$", page, re.M | re.S)
    files = {(path.parent.name, path.stem): path for path in (ROOT / "configs").glob("*/*.yaml")}
    assert {(kind, name) for kind, name, _, _ in shown} == set(files)
    for kind, name, source, text in shown:
        whole = yaml.safe_load(files[kind, name].read_text())
        assert source.strip() == str(whole.pop("source", "")).strip(), name
        assert yaml.safe_load(text) == whole, name


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("InputError(f'{p}: no {a.kind!r}; {nearest(a, B)}')", "{p}: no {kind}; did you mean {word}? known: {words}"),
        ("InputError(f'{len(x)} of {n + 1} are bad ' f'here')", "{...} of {...} are bad here"),
        ("InputError(f'{path}: bad' + more)", "{path}: bad{more}"),
        ("InputError('plain')", "plain"),
    ],
)  # fmt: skip
def test_what_an_error_says(code: str, said: str) -> None:
    assert [text for _, text in _errors(ast.parse(code))] == [said]


def test_a_message_that_is_only_a_value_tells_nothing() -> None:
    assert not [*_errors(ast.parse("InputError(reason); InputError(f'{a}: {b}')"))]


def test_whatever_lists_known_words_is_on_the_page(monkeypatch: pytest.MonkeyPatch) -> None:
    """Found another way: by the text of the sources."""
    found = messages()  # all sources are read: once is enough
    monkeypatch.setattr(site, "messages", lambda: found)
    page = messages_page()
    calls = 0
    for folder in ("configs", "reid", "tracker", "eval", "tools"):
        for path in (ROOT / folder).rglob("*.py"):
            name, text = path.relative_to(ROOT).as_posix(), path.read_text()
            if re.search(r"raise InputError\(\s*f[^)]*\{nearest\(", text):
                calls += 1
                assert f"### {name}\n" in page, name
    assert calls > 12
    assert len([message for message in found if ASKS.search(message.text)]) == page.count("\n- `` ")
