"""Look into an identity memory, and mend it.

    python tools/memory.py people.db list
    python tools/memory.py people.db show 3
    python tools/memory.py people.db merge 3 8          says the operation; undo takes it back
    python tools/memory.py people.db split 14 15        these tracklets are somebody else
    python tools/memory.py people.db undo 20
    python tools/memory.py people.db recluster          everybody compared again: who may be one; nobody is renamed
    python tools/memory.py people.db reject 3 8         no: they stay two, and it is not suggested again
    python tools/memory.py people.db name 3 "red coat"
    python tools/memory.py people.db delete 8           tracklets, vectors, crops, log: all of it goes
    python tools/memory.py people.db export 3 --out DIR everything about one person: JSON, pictures, vectors
    python tools/memory.py people.db forget --set forget_after=2592000      what is older than 30 days goes
    python tools/memory.py people.db engine hnsw        what another search finds here, beside comparing all
    python tools/memory.py people.db clocks             how far cameras' clocks are apart, by who passed several
    python tools/memory.py people.db clocks keep        believe that from now on
    python tools/memory.py people.db clock door -12.5   s to be added to what this camera says

VERB is list, show PERSON, log, suggestions, recluster, merge A B, reject A B, split TRACKLET ..., undo OPERATION,
undo-merges, name PERSON TEXT, pin PERSON, unpin PERSON, delete PERSON, forget, export PERSON, clocks [keep],
clock CAMERA S or engine NAME (search.py lists them).
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from retrace.tools.terminal import options
from retrace.tools.terminal.console import OK, Parser, as_flags, flagged, guarded, say

WORDS = {  # what follows each verb
    "list": "", "show": "PERSON", "log": "", "suggestions": "", "recluster": "", "merge": "A B", "reject": "A B",
    "split": "TRACKLET ...", "undo": "OPERATION", "undo-merges": "", "name": "PERSON TEXT", "pin": "PERSON",
    "unpin": "PERSON", "delete": "PERSON", "forget": "", "export": "PERSON", "clocks": "[keep]", "clock": "CAMERA S",
    "engine": "NAME",
}  # fmt: skip


def parser() -> Parser:
    p = Parser(prog="memory.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("memory", metavar="FILE", help="made by track.py --memory FILE")
    p.add_argument("verb", metavar="VERB", choices=[*WORDS], help=", ".join(WORDS))
    p.add_argument("words", nargs="*", metavar="WORD", help="ids, or a name")
    p.add_argument(
        "--config",
        metavar="NAME|FILE",
        help="limits and evidence, configs/memory/NAME.yaml; forget, recluster",
    )
    p.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="single values of it")
    p.add_argument(
        "--engine",
        metavar="ENGINE",
        help="kept in step with what is deleted or forgotten; search.py lists them",
    )
    p.add_argument("--out", metavar="DIR", help="export into a new folder instead of printing")
    return p


FOR = {"config": "forget recluster", "set": "forget recluster", "engine": "delete forget", "out": "export"}


def main(argv: list[str]) -> int:
    p = parser()
    args = p.parse_args(argv)

    from retrace.configs import InputError
    from retrace.configs.loader import parse_assignments
    from retrace.tools.runs import memories
    from retrace.tracker.memory import Memory, editing

    verb, words = args.verb, args.words
    wanted = WORDS[verb].split()
    right = len(words) >= 1 if "..." in wanted else len(words) == len(wanted)
    if not (words in ([], ["keep"]) if verb == "clocks" else right):
        got = " ".join(words)[:60]
        raise InputError(
            f"expected {' '.join((verb, *wanted))}, got {f'{verb} {got}' if got else f'{verb} alone'}"
        )
    no_ids = ("clock", "clocks", "engine")
    numbers = memories.numbers([] if verb in no_ids else words[:1] if verb == "name" else words)
    memories.check_memory(args.memory)
    options.refuse_empty(vars(args), FOR)
    for option, verbs in FOR.items():
        if getattr(args, option) and verb not in verbs.split():
            raise InputError(f"--{option} does nothing for {verb}: it is for {' and '.join(verbs.split())}")

    def elsewhere(memory: Memory) -> list[str]:
        return [flagged(line, p) for line in memories.server_lines(memory)]

    now = time.time()
    with (
        as_flags(p),
        Memory(args.memory, config=args.config, engine=args.engine, **parse_assignments(args.set)) as memory,
    ):
        match verb:
            case "list":
                lines = memories.people_lines(memory.store)
            case "log":
                lines = memories.log_lines(memory.store)
            case "suggestions":
                lines = memories.suggestion_lines(memory.store)
            case "recluster":
                lines = memories.recluster_lines(memory)
            case "export" if args.out:
                lines = [memories.exported_line(memory.store, numbers[0], Path(args.out))]
            case "show" | "export":
                lines = memories.person_lines(memory.store, numbers[0], as_json=verb == "export")
            case "merge":
                lines = [f"merged: operation {editing.merge(memory, numbers[0], numbers[1], at=now)}"]
            case "reject":
                lines = [f"they stay two: operation {editing.reject(memory, numbers[0], numbers[1], at=now)}"]
            case "split":
                person, operation = editing.split(memory, numbers, at=now)
                lines = [f"they are person {person} now: operation {operation}"]
            case "undo":
                lines = [f"undone: operation {editing.undo(memory, numbers[0], at=now)}"]
            case "undo-merges":
                lines = [f"{editing.undo_all_merges(memory, at=now)} merges undone"]
            case "delete":
                lines = [memories.deleted_line(editing.delete(memory, numbers[0])), *elsewhere(memory)]
            case "forget":
                counts = editing.forget(memory, memory.people.now(memory.config.clock_jump))
                lines = [memories.forgotten_line(counts), *elsewhere(memory)]
            case "engine":
                lines = memories.engine_lines(memory, words[0])
            case "clocks":
                lines = memories.clock_lines(memory, keep=bool(words))
            case "clock":
                offset = memories.seconds(words[1])
                editing.set_clocks(memory, {words[0]: offset})
                lines = [f"{words[0]}: clock {offset:+g} s"]
            case "name":
                editing.name(memory, numbers[0], words[1])
                lines = [f"person {numbers[0]} is {words[1].strip()!r}"]
            case _:
                editing.pin(memory, numbers[0], verb == "pin")
                lines = [
                    f"person {numbers[0]} is {verb}ned: {'never' if verb == 'pin' else 'may be'} forgotten"
                ]
    for line in lines:
        say(line)
    return OK


if __name__ == "__main__":
    guarded(main, sys.argv[1:])
