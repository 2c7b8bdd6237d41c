"""What a site needs, by hand; what it sees of failing machines, scene by scene."""

import json
from pathlib import Path

import pytest

from retrace.configs import InputError
from retrace.tools import capacity as tool
from retrace.tools.benchmarks.capacity import Costs, Machine, Site, frame_ms, machines_for, needs, read_costs
from retrace.tools.benchmarks.failures import DAY, Failures, simulate
from retrace.tools.terminal.console import OK

COSTS = Costs(
    size=(100, 200),
    people=2.0,
    decode_ms=1.0,
    detect_ms=10.0,
    embed_ms_a_person=0.5,
    camera_ms=0.25,
    track_ms=0.1,
    bytes_a_box=50.0,
    resident_mb=500.0,
)
SITE = Site(cameras=10, size=(200, 200), fps=10.0, people=4.0, days=1.0)


def test_needs_by_hand() -> None:
    """Twice the pixels, twice the people."""
    stages = {"decode": 2.0, "detect": 10.0, "embed": 2.0, "camera": 0.25, "track": 0.2}
    assert frame_ms(COSTS, SITE.size, SITE.people) == pytest.approx(stages)
    got = needs(COSTS, SITE)
    assert got["cores"] == pytest.approx(10 * 10 * 14.45e-3)
    assert got["memory_gb"] == pytest.approx(2 * 0.5 + 10 * 16 * 40_000 * 3 / 1e9)  # 1.445 cores: 2 processes
    assert got["disk_tb"] == pytest.approx(10 * 86_400 * 10 * 4 * 50 / 1e12)
    assert got["network_gbit"] == pytest.approx(10 * 40_000 * 10 * 0.1 / 1e9)


def test_kept_video_and_a_stated_rate() -> None:
    """2 Mbit/s are 21.6 GB a day and camera."""
    got = needs(COSTS, Site(cameras=10, mbit=2.0, days=1.0, people=0.0, keep_video=True))
    assert got["disk_tb"] == pytest.approx(0.216)
    assert got["network_gbit"] == pytest.approx(0.02)


@pytest.mark.parametrize(
    ("machine", "part", "count"),
    [
        (Machine(cores=2, used=0.5), "cores", 2),  # 1.445 of 1
        (Machine(memory_gb=0.5, used=1.0), "memory_gb", 3),  # 1.0192 of 0.5
        (Machine(disk_tb=0.0001, used=1.0), "disk_tb", 18),  # 0.001728 of 0.0001
        (Machine(network_gbit=0.0003, used=1.0), "network_gbit", 2),  # 0.0004 of 0.0003
    ],
)
def test_what_is_short_is_named(machine: Machine, part: str, count: int) -> None:
    got = machines_for(COSTS, SITE, machine)
    assert (got["bottleneck"], got["count"]) == (part, count)
    assert got["cameras_a_machine"] == pytest.approx(10 / got["machines"][part])


def test_one_machine_that_just_fits_is_one() -> None:
    assert machines_for(COSTS, SITE, Machine(cores=1.445, used=1.0))["count"] == 1


@pytest.mark.parametrize(
    ("site", "machine", "said"),
    [
        (Site(cameras=0), Machine(), "`cameras` must be a positive number up to 1e\\+09, got 0"),
        (
            Site(cameras=1, fps=float("nan")),
            Machine(),
            "`fps` must be a positive number up to 1e\\+09, got nan",
        ),
        (Site(cameras=1, people=-1.0), Machine(), "`people` must be a positive number"),
        (Site(cameras=1), Machine(disk_tb=0.0), "`disk_tb` must be a positive number"),
        (Site(cameras=1), Machine(used=1.5), "`used` is a share"),
    ],
)
def test_numbers_that_cannot_be(site: Site, machine: Machine, said: str) -> None:
    with pytest.raises(InputError, match=said):
        machines_for(COSTS, site, machine)


NO_CHANCE = Failures(repair=3600.0, notice=10.0, restart=5.0)


def test_one_machine_fails_and_half_of_its_cameras_find_a_place() -> None:
    """2 machines of 2 places; cameras 0 and 2 on the first, 1 on the second, one place free."""
    pytest.importorskip("simpy")
    got = simulate(3, 2, 2, NO_CHANCE, days=1.0, script=[(100.0, 0)])
    blind = (10 + 5) + (3600 + 5)  # the other waits for the repair
    assert (got["outages"], got["failures"]) == (2, 1)
    assert got["longest_s"] == 3605.0
    assert got["tracked"] == pytest.approx(1 - blind / (3 * DAY))


def test_the_second_machine_fails_while_a_camera_begins_there() -> None:
    """3 machines of 1 place, 2 cameras: 0 goes from machine 0 (100 s) to 2, which fails at 112 s."""
    pytest.importorskip("simpy")
    got = simulate(2, 3, 1, NO_CHANCE, days=1.0, script=[(100.0, 0), (112.0, 2)])
    assert got["outages"] == 1
    assert got["longest_s"] == 3600.0 + 5.0  # machine 0 is back at 3,700 s
    assert got["tracked"] == pytest.approx(1 - 3605 / (2 * DAY))


def test_cameras_without_a_place_are_blind() -> None:
    pytest.importorskip("simpy")
    got = simulate(3, 1, 2, NO_CHANCE, days=1.0, script=[])
    assert got["tracked"] == pytest.approx(2 / 3)
    assert got["longest_s"] == DAY


def test_with_places_to_spare_the_share_is_the_time_to_come_back_over_the_time_between_failures() -> None:
    pytest.importorskip("simpy")
    failures = Failures(every=5 * DAY, repair=3600.0, notice=10.0, restart=5.0)
    got = simulate(500, 200, 5, failures, days=30.0, seed=1)
    assert 1 - got["tracked"] == pytest.approx(15 / (5 * DAY), rel=0.1)
    assert got["longest_s"] <= 30.0  # once more where the next machine fails too
    assert got == simulate(500, 200, 5, failures, days=30.0, seed=1)
    assert got != simulate(500, 200, 5, failures, days=30.0, seed=2)


def costs_file(path: Path, **other: object) -> Path:
    told = {
        **{name: getattr(COSTS, name) for name in COSTS.__slots__},  # type: ignore[attr-defined]
        **other,
    }
    path.write_text(json.dumps({"costs": told}))
    return path


def test_the_tool(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("simpy")
    costs = costs_file(tmp_path / "costs.json")
    assert read_costs(costs) == COSTS
    what = [
        "--costs",
        costs,
        "--cameras",
        10,
        "--size",
        "200x200",
        "--people",
        4,
        "--cores",
        2,
        "--used",
        0.5,
    ]
    out = tmp_path / "plan.json"
    assert tool.main([str(a) for a in (*what, "--simulate", 1, "--json", out)]) == OK
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith("a frame: 14.4 CPU ms (decode 2.0, detect 10.0, embed 2.0")
    assert "2 machines, 6.9 cameras each; cores decides" in said
    assert json.loads(out.read_text())["simulated"]["places"] == 13


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{}", "no costs in it"),
        ('{"costs": {"size": [1, 2]}}', "costs are damaged"),
        ('{"costs": {"size": [1]}}', "costs are damaged"),
        ("", "not readable as JSON"),
    ],
)
def test_costs_that_are_none(text: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "c.json").write_text(text)
    with pytest.raises(InputError, match=said):
        read_costs(tmp_path / "c.json")
