"""The page of an hour-long run with 10,000 boxes a minute in a headless Chromium: seconds until the first picture,
frames a second while the timeline scrolls, memory of the page and of the server.

The run is made up, without a video (decoding is the browser's own): 500 people who come and go. Needs Debian's
chromium and chromium-driver and the package selenium (extra `dev`). Wall time means little on a busy machine: CPU
seconds of browser and server together stand beside it. Memory and CPU are read from /proc (Linux); memory is the
proportional set size.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from retrace.configs import InputError

FPS = 25
FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--window-size=1440,1000",
)
SCROLL = """
const done = arguments[0], place = document.getElementById("timeline"), begun = performance.now();
let frames = 0;
const step = (now) => {
  frames++;
  place.scrollTop = (place.scrollTop + 37) % Math.max(1, place.scrollHeight - place.clientHeight);
  if (now - begun < 3000) requestAnimationFrame(step); else done([frames, frames / (now - begun) * 1000]);
};
requestAnimationFrame(step);
"""
EDIT = """
const done = arguments[0], begun = performance.now();
choose(1);
send({ op: "sure", id: 1, sure: true }, "sure").then(() => done((performance.now() - begun) / 1000));
"""


def made_up_run(folder: Path, minutes: float, boxes: int, people: int) -> Path:
    """A run folder: ``boxes`` a minute, ``people`` who walk up and down for a while each."""
    frames = round(minutes * 60 * FPS)
    at_once = max(1, round(boxes / 60 / FPS))
    rng = np.random.default_rng(1)
    stay = frames * at_once // people
    lines: list[tuple[int, int, float, float]] = []
    for k in range(people):
        first = k // at_once * stay
        x, y = rng.uniform(0, 1800), rng.uniform(300, 900)
        for frame in range(first, min(first + stay, frames)):
            if (frame * 7 + k) % 400 < 380:  # hidden for a moment now and then
                lines.append((frame, k + 1, (x + 2.0 * frame) % 1850, y))
    lines.sort()
    folder.mkdir(parents=True)
    with open(folder / "hour.txt", "w") as file:
        file.writelines(f"{f + 1},{i},{x:.2f},{y:.2f},40.00,100.00,0.9000,-1,-1,-1\n" for f, i, x, y in lines)
    record = {"complete": True, "fps": FPS, "size": [1080, 1920], "frames": frames, "tracks": people}
    (folder / "run.json").write_text(json.dumps({"arguments": [], "sequences": {"hour": record}}))
    return folder


def measure(
    minutes: float = 60, boxes: int = 10_000, people: int = 500, say: Callable[[str], object] = print
) -> dict[str, Any]:
    """The figures by name.

    Raises:
        InputError: no browser.
    """
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if chromium is None or driver is None:
        raise InputError("needs a browser: Debian's packages chromium and chromium-driver")
    try:
        from selenium import webdriver
    except ImportError:
        raise InputError("needs the package selenium (extra `dev`)") from None
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for flag in FLAGS:
        options.add_argument(flag)
    with tempfile.TemporaryDirectory() as place:
        run = made_up_run(Path(place) / "run", minutes, boxes, people)
        command = [sys.executable, "-m", "retrace", "view", str(run)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
            assert server.stdout
            address = server.stdout.readline().split()[0]
            found = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
            try:
                told = _measured(found, address, server.pid)
            finally:
                found.quit()
                server.terminate()
    told["load"] = round(os.getloadavg()[0], 1)
    for name, value in told.items():
        say(f"{name.replace('_', ' ')}: {value}")
    return told


def _measured(driver: Any, address: str, server: int) -> dict[str, Any]:
    driver.set_script_timeout(300)
    for _ in range(200):  # until it listens
        try:
            driver.get(address)
            break
        except Exception:  # of the driver: connection refused
            time.sleep(0.1)
    told: dict[str, Any] = {}
    browser = driver.service.process.pid

    def spent() -> float:
        return sum(map(_cpu, [server, *_below(browser)]))

    for which in ("first", "second"):  # the second time the server has read the result already
        driver.get("about:blank")
        begun, before = time.perf_counter(), spent()
        driver.get(address)
        _until(driver, "document.body.dataset.ready === 'yes'")
        told[f"{which}_picture_s"] = round(time.perf_counter() - begun, 2)
        told[f"{which}_picture_cpu_s"] = round(spent() - before, 2)
        _until(driver, "document.body.dataset.whole")
        told[f"{which}_everything_s"] = round(time.perf_counter() - begun, 2)
        told[f"{which}_everything_cpu_s"] = round(spent() - before, 2)
    told["boxes"] = driver.execute_script("return state.boxes.count")
    told["rows"] = driver.execute_script("return state.people.length")
    for name in ("scroll", "scroll_zoomed"):
        before = spent()
        frames, rate = driver.execute_async_script(SCROLL)
        told[f"{name}_frames_per_s"] = round(rate, 1)
        told[f"{name}_cpu_ms_a_frame"] = round(1000 * (spent() - before) / frames, 1)
        driver.execute_script("zoom(20)")
    before = spent()
    told["edit_s"] = round(driver.execute_async_script(EDIT), 2)
    told["edit_cpu_s"] = round(spent() - before, 2)
    told["page_MB"] = round(sum(map(memory, _renderers(browser))) / 1e6)
    told["server_MB"] = round(memory(server) / 1e6)
    return told


def _until(driver: Any, script: str) -> None:
    while not driver.execute_script(f"return {script}"):
        time.sleep(0.01)


def memory(process: int) -> int:
    """Bytes: its own and its share of what it has in common with others."""
    text = Path(f"/proc/{process}/smaps_rollup").read_text()
    return 1024 * int(next(line for line in text.splitlines() if line.startswith("Pss:")).split()[1])


def _below(driver: int) -> set[int]:
    """The processes of the browser."""
    parent = {}
    for place in Path("/proc").glob("[0-9]*"):
        try:
            parent[int(place.name)] = int((place / "stat").read_text().rsplit(")", 1)[1].split()[1])
        except OSError:
            continue
    below = {driver}
    for _ in range(8):
        below |= {child for child, of in parent.items() if of in below}
    return below


def _renderers(driver: int) -> list[int]:
    """Those of pages."""
    return [p for p in _below(driver) if b"--type=renderer" in Path(f"/proc/{p}/cmdline").read_bytes()]


def _cpu(process: int) -> float:
    """CPU seconds so far; 0 of one that has ended."""
    if not Path(f"/proc/{process}/stat").exists():
        return 0.0
    fields = Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
