"""The true identity switches of a run, with what its ledger says of each: `eval` finds them, the ledger tells."""

from __future__ import annotations

from pathlib import Path

from retrace.configs import InputError
from retrace.eval.mot.identity_switches import identity_switches
from retrace.eval.mot.preprocess import check_benchmark, find_fault
from retrace.eval.mot.sequences import guess_benchmark
from retrace.tracker.ledger.by_identity import History
from retrace.tracker.ledger.switches_in_words import Switch, tell_switch
from retrace.tracker.mot_file import read_ground_truth, read_results


def true_switches(history: History, gt: Path, benchmark: str | None = None) -> list[Switch]:
    """Every IDSW of CLEAR, with what the ledger says of it.

    Args:
        history: of the run; its result file lies beside the ledger.
        gt: ground truth of the same frames: its file, or a folder with ``SEQUENCE/gt/gt.txt``.
        benchmark: whose rules; None: told from the sequence's name.

    Raises:
        InputError: a file that cannot be read, a benchmark not known, ground truth of other frames.
    """
    benchmark = benchmark or guess_benchmark([history.file.name])
    check_benchmark(benchmark)
    online = history.file.path.with_name(f"{history.file.name}.online.txt")
    path = online if online.is_file() else history.file.path.with_name(f"{history.file.name}.txt")
    place = gt / history.file.name / "gt" / "gt.txt" if gt.is_dir() else gt
    truth, result, length = read_ground_truth(place), read_results(path), int(max(history.line)) + 1
    for table, name in ((truth, place), (result, path)):
        fault = find_fault(table, length, benchmark, is_gt=table is truth)
        if fault:
            raise InputError(f"{name}: {fault.text}; is it of the same frames as {history.file.path.name}?")
    found = identity_switches(truth, result, length, benchmark)
    return [tell_switch(history, *switch) for switch in found]
