"""What a job may say."""

import pickle
from pathlib import Path

import pytest

from retrace.configs import InputError
from retrace.tracker.run import Job


def test_a_job_travels() -> None:
    job = Job("a.mp4", "out", overrides={"max_age": 2.0}, save=("video",), offline="link", resume=True)
    assert pickle.loads(pickle.dumps(job)) == job
    assert job.save == ("mot", "video")


def test_paths_are_taken_for_text() -> None:
    assert Job(Path("a.mp4"), Path("o"), detections=Path("d")) == Job("a.mp4", "o", detections="d")  # type: ignore[arg-type]


def test_settings_are_resolved() -> None:
    assert Job("a", "o", overrides={"max_age": 2.0}).tracker_config().max_age == 2.0
    assert Job("a", "o").offline_config() is None
    job = Job("a", "o", offline="interpolate", offline_overrides={"interpolate.gap": 3.0})
    passes = job.offline_config()
    assert passes is not None
    assert passes.passes == ("interpolate",)
    assert passes.interpolate.gap == 3.0


def test_gaps_filled_afterwards_are_not_guessed_at_before() -> None:
    assert Job("a", "o").tracker_config().hidden is not None
    assert Job("a", "o", offline="interpolate").tracker_config().hidden is None
    assert Job("a", "o", offline="link").tracker_config().hidden is not None
    asked = Job("a", "o", offline="interpolate", overrides={"hidden.age": 0.3}).tracker_config().hidden
    assert asked is not None
    assert asked.age == 0.3


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"save": ("vido",)}, "`save` vido: did you mean 'video'"),
        ({"device": "banana"}, "`device` banana: expected auto, cpu, cuda or cuda:N"),
        ({"reid_norm": "frames"}, "`reid_norm` frames: did you mean 'frame'"),
        ({"detector": "none"}, "give `detections` FILE"),
        ({"detector": "hog", "detections": "d.txt"}, "`detections` replaces the detector"),
        ({"classes": "car", "detections": "d.txt"}, "`classes` does nothing with `detections`"),
        ({"embed": "ambigous"}, "`embed` ambigous: did you mean 'ambiguous'"),
        ({"embed_budget": 3.0}, "`embed_budget` goes with `embed` ambiguous"),
        ({"embed": "ambiguous", "reid": "none"}, "does nothing with `reid` none"),
        ({"save": "mot,video"}, "`save` must be several words"),
        ({"fps": "25"}, "`fps` must be a number, got str"),
        ({"length": 2.5}, "`length` must be a whole number, got float"),
        ({"resume": "no"}, "`resume` must be True or False, got str"),
        ({"memory": "m", "memory_camera": " "}, "`memory_camera` is empty"),
        ({"detections": "d", "reid": "none", "runtime": "openvino"}, "`runtime` openvino: no network"),
        ({"storage": ""}, "`storage` is empty"),
        ({"reid": ""}, "`reid` is empty: give it a value, or leave it out"),
        ({"detections": " "}, "`detections` is empty"),  # not the detector without a word
        ({"length": 0}, "`length` must be at least 1 frame, got 0"),
        ({"offline_overrides": {"link.gap": 1}}, "offline.link.gap does nothing without `offline`"),
    ],
)
def test_mistakes(wrong: dict, message: str) -> None:
    with pytest.raises(InputError) as caught:
        Job("a.mp4", "out", **wrong)
    assert message in str(caught.value)


def test_a_url_is_shown_without_its_secrets() -> None:
    assert Job("rtsp://me:se/c@ret@cam.example/1?key=9", "o").shown == "rtsp://cam.example/1"
    assert Job("a.mp4", "o").shown == "a.mp4"
