"""The queue at work: stopped anywhere, several processes, jobs that fail."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")

from retrace.configs import InputError
from retrace.configs.files import locked
from retrace.tools.loss_bench import work as working
from retrace.tools.loss_bench.entrants import read_bench
from retrace.tools.loss_bench.jobs import TrainingJob, open_jobs, read_bench_results
from tests.tools.loss_bench.results_by_hand import final

BENCH, NAMES = read_bench(), ["ce_triplet", "ce"]


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> working.Places:
    monkeypatch.setattr(working, "read_people", lambda *args: None)
    monkeypatch.setattr(working, "do", lambda bench, job, people, places: figures(job))
    return working.Places(tmp_path / "results.jsonl", tmp_path / "work", *[tmp_path] * 3)


def figures(job: TrainingJob) -> dict[str, Any]:
    made = final(job.entrant, job.seed, 0.5)
    return {key: made[key] for key in ("mAP", "rank-1", "people")}


def go(places: working.Places, **options: Any) -> int:
    return working.work(BENCH, "finetune", NAMES, places, published=True, tell=lambda line: None, **options)


def test_a_stopped_bench_goes_on_where_it_was(places: working.Places) -> None:
    assert go(places, most=3) == 3
    assert [(one["entrant"], one["seed"]) for one in read_bench_results(places.results)] == [
        ("ce_triplet", 1),
        ("ce", 1),
        ("ce_triplet", 2),
    ]
    assert go(places) == 7
    assert go(places) == 0
    assert len({one["key"] for one in read_bench_results(places.results)}) == 10
    assert go(places, hours=0) == 0


def test_killed_in_the_middle_of_a_job(places: working.Places, monkeypatch: pytest.MonkeyPatch) -> None:
    def killed(*args: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(working, "do", killed)
    with pytest.raises(KeyboardInterrupt):
        go(places)
    assert read_bench_results(places.results) == []
    monkeypatch.setattr(working, "do", lambda bench, job, people, places: figures(job))
    assert go(places, most=1) == 1, "nothing holds the job any more"


def test_a_job_of_another_process_is_left_to_it(places: working.Places) -> None:
    first = open_jobs(BENCH, "finetune", NAMES, [], published=True)[0]
    with locked(places.work / "claims" / f"{working.slug(first)}.lock", "works on it"):
        assert go(places) == 9
    assert go(places) == 1


def test_a_job_that_cannot_be_done_is_said(places: working.Places, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(bench: Any, job: TrainingJob, *args: Any) -> dict[str, Any]:
        if job.entrant == "ce":
            raise InputError("the loss is not finite any more")
        return figures(job)

    monkeypatch.setattr(working, "do", broken)
    assert go(places) == 10
    failed = [one for one in read_bench_results(places.results) if "failed" in one]
    assert {one["failed"] for one in failed} == {"the loss is not finite any more"}
    assert len(failed) == 5
