"""The queue: what is next follows from what is done, a stopped bench is balanced, a torn line is no result."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from retrace.configs import InputError
from retrace.tools.loss_bench.entrants import read_bench
from retrace.tools.loss_bench.jobs import add_result, finals, open_jobs, read_bench_results
from tests.tools.loss_bench.results_by_hand import final, search

BENCH = read_bench()
TWO = ["ce_triplet", "ce"]


def test_the_search_goes_setting_by_setting_over_everybody() -> None:
    jobs = open_jobs(BENCH, "finetune", TWO, [])
    assert [(job.entrant, job.setting) for job in jobs] == [(n, k) for k in range(4) for n in TWO]
    assert {job.stage for job in jobs} == {"search 1"}
    assert {job.length for job in jobs} == {1}


def test_the_best_two_go_on_and_the_best_of_them_is_trained_by_seeds() -> None:
    results = [search("ce", k, value, "finetune", 1, 1) for k, value in enumerate([0.3, 0.5, 0.4, 0.2])]
    jobs = open_jobs(BENCH, "finetune", ["ce"], results)
    assert [(job.stage, job.setting, job.length) for job in jobs] == [
        ("search 2", 1, 1.5),
        ("search 2", 2, 1.5),
    ]
    results += [search("ce", 1, 0.55, "finetune", 2, 1.5), search("ce", 2, 0.6, "finetune", 2, 1.5)]
    jobs = open_jobs(BENCH, "finetune", ["ce"], results)
    assert [(job.stage, job.setting, job.seed) for job in jobs] == [("final", 2, s) for s in range(1, 6)]


def test_finals_go_seed_by_seed_and_what_is_there_is_not_done_again() -> None:
    results = [final("ce_triplet", 1, 0.5), final("ce", 1, 0.5), final("ce_triplet", 2, 0.5)]
    jobs = open_jobs(BENCH, "finetune", TWO, results, published=True)
    assert [(job.seed, job.entrant) for job in jobs][:3] == [(2, "ce"), (3, "ce_triplet"), (3, "ce")]
    assert len(jobs) == 10 - 3


def test_frozen_heads_train_as_long_as_the_search_found_best() -> None:
    results = [search("ce", 0, 0.5, "frozen", 1, 500)]
    results[0]["curve"] = {"100": 0.5, "200": 0.7, "300": 0.6}
    job = open_jobs(BENCH, "frozen", ["ce"], results)[0]
    assert (job.stage, job.setting, job.length) == ("final", 0, 200)


def test_a_setting_that_failed_is_the_worst() -> None:
    results = [search("ce", k, 0.5, "finetune", 1, 1) for k in range(4)]
    results[0]["failed"] = "the vectors are not finite"
    assert [job.setting for job in open_jobs(BENCH, "finetune", ["ce"], results)] == [1, 2]


def test_finals_of_another_setting_do_not_count() -> None:
    results = [final("ce", 1, 0.5), final("ce", 1, 0.6, setting=3), final("ce", 1, 0.6, regime="scratch")]
    found = finals(BENCH, "finetune", results, published=True)
    assert [one["key"] for one in found["ce"]] == [results[0]["key"]]


def test_a_line_that_was_cut_off_is_done_again(tmp_path: Path) -> None:
    path = tmp_path / "losses.jsonl"
    add_result(path, final("ce", 1, 0.5))
    add_result(path, final("ce", 2, 0.5))
    whole = path.read_bytes()
    for cut in (1, 5, 60):
        path.write_bytes(whole[:-cut])
        assert [one["seed"] for one in read_bench_results(path)] == [1]
        add_result(path, final("ce", 3, 0.5))
        assert [one["seed"] for one in read_bench_results(path)] == [1, 3]
    assert read_bench_results(tmp_path / "none.jsonl") == []


def test_a_line_that_is_no_result_is_named(tmp_path: Path) -> None:
    path = tmp_path / "losses.jsonl"
    path.write_text(json.dumps(final("ce", 1, 0.5)) + "\n{}\n")
    with pytest.raises(InputError, match="line 2 is no result"):
        read_bench_results(path)
