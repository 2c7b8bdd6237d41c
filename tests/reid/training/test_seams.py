"""What terms may read beyond vectors and identities: heads, a census, a teacher, a second view, other labels."""

from __future__ import annotations

import importlib.util
import itertools
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from retrace.configs import InputError

torch = pytest.importorskip("torch")
for package in ("torchreid", "timm"):
    if importlib.util.find_spec(package) is None:
        pytest.skip(f"needs {package}: pip install -e .[train]", allow_module_level=True)

from retrace.reid.config import TrainConfig  # noqa: E402
from retrace.reid.networks.build import without_aids  # noqa: E402
from retrace.reid.training import state as training  # noqa: E402
from retrace.reid.training.features import features  # noqa: E402
from retrace.reid.training.state import Training  # noqa: E402
from retrace.reid.training.steps import steps  # noqa: E402
from retrace.reid.weights.files import load_network, save_network  # noqa: E402
from tests.reid.training.small_run import (  # noqa: E402
    CAMERAS,
    COLUMNS,
    IDS,
    LABELS,
    NETWORK,
    OSNET,
    PIXELS,
    SIZE,
    assert_same,
    begin,
    config,
    go,
    stored,
)

VIEWPOINTS = {"viewpoint": np.arange(len(LABELS)) % 3}
RUNS: dict[str, dict[str, Any]] = {
    "neighbours and class tree": {
        "losses": {"cross_entropy": {}, "hierarchical_triplet": {}},
        "sampler": {"kind": "neighbour", "anchors": 2},
    },
    "clusters": {
        "sampler": {"kind": "cluster", "clusters": 2},
        "batch": {"identities": 2, "images": 2},
        "epochs": 2,
    },
    "slices by cluster": {
        "epochs": 2,
        "sampler": {"kind": "cluster", "clusters": 2},
        "batch": {"identities": 2, "images": 2},
        "losses": {"divided_slices": {"lr": 0.01}},
    },
    "seen again otherwise": {
        "teacher": {"ema": 0.9},
        "views": 2,
        "losses": {"cross_entropy": {}, "self_similarity": {"size": 30}},
    },
    "images held back": {
        "losses": {"policy_sampling": {"lr": 0.01}},
        "census": {"held": 0.34, "look": 2},
    },
    "adapted sampling": {"losses": {"adapted_sampling": {"every": 2}, "learned_sampler": {}}},
    "tracks of a video": {
        "losses": {"tracklet_pairs": {}, "attribute_tasks": {"columns": ["pose"]}},
        "sampler": {"kind": "together"},
    },
    "two views of whoever": {
        "losses": {"nt_xent": {}},
        "views": 2,
        "sampler": {"kind": "random"},
    },
    "projection head": {
        "model": NETWORK | {"heads": {"projection": {"kind": "mlp", "dim": 8}}},
        "losses": {"nt_xent": {"on": "projection"}},
        "views": 2,
    },
    "mean teacher": {"teacher": {"ema": 0.9}, "losses": {"cross_entropy": {}, "relational_distillation": {}}},
    "memory, OSNet": {
        "model": OSNET,
        "losses": {"cross_entropy": {}, "memory": {"size": 20, "start": 2}},
    },
    "self-distillation": {
        "model": NETWORK | {"heads": {"a": {"kind": "mlp", "dim": 24}, "b": {"kind": "mlp", "dim": 32}}},
        "losses": {"s2sd": {"delay": 4}},
    },
    "stripes and moments": {
        "model": NETWORK
        | {
            "heads": {
                "stripes": {"kind": "stripes", "dim": 8, "parts": 2, "keep": True},
                "moments": {"kind": "moments", "dim": 8, "order": 3, "width": 16},
                "attention": {"kind": "attention", "dim": 8},
                "first": {"kind": "slice", "on": "embedding", "dim": 6},
            }
        },
        "losses": {
            "cross_entropy": {},
            "classifier@stripes": {"on": "stripes", "parts": 2},
            "contrastive@moments": {"on": "moments"},
            "contrastive@attention": {"on": "attention"},
            "margin@first": {"on": "first", "lr": 0.01},
        },
    },
    "drawn and learned": {
        "losses": {
            "margin": {"lr": 0.01},
            "drawn_triplet": {"switch": 0.3},
            "arcface": {"centres": 2, "lr": 0.1},
            "soft_triple": {},
            "message_passing": {"width": 16},
        }
    },
}


def continued(state: Any, changes: dict[str, Any]) -> Training:
    """What a new process makes of the checkpoint."""
    torch.manual_seed(99)
    second = begin(**changes)
    second.load_state_dict(state)
    return second


@pytest.mark.parametrize("name", RUNS)
def test_a_run_that_goes_on_repeats_to_the_last_bit(name: str) -> None:
    """Nine iterations (of clusters twelve), stopped at 4 and at 6: within a census and on the edge of one, since an
    epoch is 3 (of clusters 6)."""
    changes = RUNS[name]
    whole = begin(**changes)
    losses, states = [], {}
    for step in steps(whole, PIXELS, LABELS, CAMERAS, None, COLUMNS):
        losses.append(step.loss)
        if step.number in (4, 6):
            states[step.number] = stored(whole.state_dict())
    again = [step.loss for step in go(begin(**changes), 4)]  # nobody took its state
    assert torch.equal(torch.stack(losses[:4]), torch.stack(again))
    for stop, state in states.items():
        second = continued(state, changes)
        assert torch.equal(torch.stack(losses[stop:]), torch.stack([step.loss for step in go(second)]))
        assert_same(whole.state_dict(), second.state_dict())
    assert len(losses) >= 9
    assert list(states) == [4, 6]
    assert losses[0] != losses[-1]


def test_the_census_is_of_the_network_as_it_was() -> None:
    run = begin(**RUNS["neighbours and class tree"])
    taken = []
    for _ in steps(run, PIXELS, LABELS, CAMERAS):
        assert run.census is not None
        taken.append(run.census)
    assert [census.iteration for census in taken] == [0, 0, 0, 3, 3, 3, 6, 6, 6]
    fresh = begin(**RUNS["neighbours and class tree"])
    seen = features(
        fresh.network, PIXELS, fresh.recipe({}), call=lambda images: fresh.network.answer(images).embeddings
    )
    means = np.stack([seen[c == LABELS].mean(0) for c in range(IDS)])
    np.testing.assert_allclose(taken[0].means, means, atol=1e-5)
    assert not np.allclose(taken[-1].means, means, atol=1e-3)


def test_nobody_counts_where_nobody_reads() -> None:
    run = begin()
    go(run, 1)
    assert run.census is None
    assert run.state_dict()["census"] is None


def test_heads_vanish_at_export_but_those_that_are_kept(tmp_path: Any) -> None:
    run = begin(**RUNS["stripes and moments"])
    go(run, 2)
    network, model = without_aids(run.network.eval(), run.config.model, SIZE)
    assert list(model.heads) == ["stripes"]
    recipe = run.recipe({})
    save_network(tmp_path / "w.safetensors", network, replace(recipe, model=model.model_dump(mode="json")))
    loaded, told = load_network(tmp_path / "w.safetensors")
    assert told.model is not None
    assert list(told.model["heads"]) == ["stripes"]
    images = torch.randn(3, 3, *SIZE, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        want, got = run.network(images), loaded(images)
        torch.testing.assert_close(want, got, atol=1e-5, rtol=1e-4)  # another layout in memory
        answer = run.network.answer(images)
    assert got.shape == (3, 16 + 2 * 8)
    # Cosines add up by the shares of the dimensions.
    own, stripes = (
        torch.nn.functional.normalize(v, dim=1) for v in (answer.features, answer.heads["stripes"])
    )
    torch.testing.assert_close(got @ got.T, (own @ own.T + stripes @ stripes.T) / 2, atol=1e-5, rtol=1e-5)
    same, untouched = without_aids(begin().network, config().model, SIZE)
    assert untouched == config().model
    assert same is not None


def test_heads_by_hand() -> None:
    from retrace.reid.config import HeadConfig
    from retrace.reid.networks.heads import make_head

    maps = torch.arange(2 * 3 * 4 * 2, dtype=torch.float32).view(2, 3, 4, 2)
    stripes = make_head("s", HeadConfig(kind="stripes", dim=3, parts=2), 3, 5, (4, 2)).eval()
    stripes.reduce[0].weight.data = torch.eye(3)[:, :, None, None]
    stripes.reduce[1].eps = 0.0
    upper, lower = maps[:, :, :2].mean((2, 3)), maps[:, :, 2:].mean((2, 3))
    torch.testing.assert_close(stripes(maps), torch.cat([upper, lower], 1))
    moments = make_head("m", HeadConfig(kind="moments", dim=4, order=2, width=3), 3, 5, (4, 2)).eval()
    moments.norm.eps = 0.0
    for factor in moments.factors:
        factor.weight.data = torch.eye(3)[:, :, None, None]
    moments.map.weight.data = torch.eye(4, 3)
    torch.testing.assert_close(moments(maps)[:, :3], maps.square().mean((2, 3)))
    attention = make_head("a", HeadConfig(kind="attention", dim=3), 3, 5, (4, 2))
    attention.mask.weight.data.zero_()
    attention.mask.bias.data.zero_()
    attention.map.weight.data = torch.eye(3)
    torch.testing.assert_close(attention(maps), maps.mean((2, 3)) / 2)  # the mask is one half everywhere
    cut = make_head("c", HeadConfig(kind="slice", on="embedding", start=1, dim=2), 3, 5, (4, 2))
    assert cut(torch.arange(5.0)[None]).tolist() == [[1, 2]]


def test_random_moments_keep_powers_of_the_dot_product() -> None:
    """x (1, 2), y (3, -1), x . y = 1: the mean over all signs of the order-2 and order-3 products is 1."""
    x, y = torch.tensor([1.0, 2]), torch.tensor([3.0, -1])
    for order in (2, 3):
        products = [
            torch.stack([torch.tensor(s) @ x for s in signs]).prod()
            * torch.stack([torch.tensor(s) @ y for s in signs]).prod()
            for signs in itertools.product(itertools.product((1.0, -1.0), repeat=2), repeat=order)
        ]
        assert float(torch.stack(products).mean()) == pytest.approx(1.0)


def test_a_teacher_sees_the_students_images_in_its_own_size_and_colours(tmp_path: Any) -> None:
    big = begin(size=(64, 32), model=OSNET)
    save_network(tmp_path / "big.safetensors", big.network, big.recipe({}))
    run = begin(
        teacher={"weights": str(tmp_path / "big.safetensors")}, losses={"relational_distillation": {}}
    )
    assert run.teacher is not None
    assert run.teacher.dimensions == 16
    images = torch.randn(4, 3, *SIZE, generator=torch.Generator().manual_seed(0))
    larger = torch.nn.functional.interpolate(images, (64, 32), mode="bilinear", align_corners=False)
    with torch.inference_mode():
        want = torch.nn.functional.normalize(load_network(tmp_path / "big.safetensors")[0](larger), dim=1)
    torch.testing.assert_close(run.teacher(images), want, atol=1e-5, rtol=1e-4)
    before = {k: v.clone() for k, v in run.teacher.network.state_dict().items()}
    go(run, 2)
    assert_same(before, dict(run.teacher.network.state_dict()))
    assert run.state_dict()["teacher"] is None  # its file keeps it


def test_the_mean_teacher_follows() -> None:
    run = begin(**RUNS["mean teacher"])
    want: dict[str, torch.Tensor] = {}
    for _ in steps(run, PIXELS, LABELS, CAMERAS):
        now = {k: v.clone() for k, v in run.network.state_dict().items() if v.is_floating_point()}
        want = {k: 0.9 * want[k] + 0.1 * v for k, v in now.items()} if want else now
    assert run.teacher is not None
    got = run.teacher.network.module.state_dict()  # type: ignore[union-attr]
    for key, value in want.items():
        torch.testing.assert_close(got[key], value, atol=1e-5, rtol=1e-5)


def test_other_labels_reach_terms() -> None:
    changed = config(losses={"viewpoint": {}}, epochs=6)
    run = training.start(changed, IDS, len(LABELS), "cpu", columns={"viewpoint": 3})
    found = steps(run, PIXELS, LABELS, CAMERAS, columns=VIEWPOINTS)
    losses = [float(step.loss) for step in found]
    assert np.mean(losses[-3:]) < np.mean(losses[:3])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"losses": {"nt_xent": {}}}, "reads 'second', which this run has not: set views: 2"),
        ({"losses": {"relational_distillation": {}}}, "reads 'teacher', which this run has not"),
        ({"losses": {"group_loss": {}}, "accumulate": 2}, "looks at the whole batch at once"),
        ({"losses": {"s2sd": {}}}, "needs model.heads as teachers"),
        ({"losses": {"contrastive": {"on": "aux"}}}, "this network has no vector 'aux'"),
        ({"losses": {"viewpoint": {}}}, "needs data with a label column 'viewpoint'"),
        ({"census": {"held": 0.2}}, "no term reads what is found on images held back"),
        (
            {"model": {"name": "osnet_x0_25", "neck": "own"}, "losses": {"orthogonal_maps": {}}},
            "reads 'maps', which this run has not: set model.neck",
        ),
        ({"teacher": {"weights": "x.onnx"}}, "x.onnx is an export; give the weights as trained, or name"),
        ({"teacher": {"weights": "gone.safetensors"}}, "gone.safetensors: no such weights file"),
        (
            {"model": NETWORK | {"heads": {"s": {"kind": "stripes", "parts": 9}}}},
            r"model\.heads\.s: 9 stripes of a feature map 2 rows high; lower parts",
        ),
        (
            {"model": NETWORK | {"heads": {"s": {"kind": "slice", "on": "embedding", "start": 9, "dim": 9}}}},
            r"model\.heads\.s: dimensions 9 to 18 of only 16",
        ),
        ({"model": NETWORK | {"heads": {"s": {"on": "maps"}}}}, "a linear head is on pooled or embedding"),
    ],
    ids=str,
)
def test_what_a_run_lacks_is_one_line_before_the_first_step(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        begin(**changes)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"teacher": {}}, "give weights or ema, one of them"),
        ({"teacher": {"ema": 0.9}, "teachers": ["x"]}, "not both"),
        (
            {"sampler": {"kind": "random"}, "census": {"held": 0.2}},
            "held goes with sampler.kind identity only",
        ),
        ({"sampler": {"kind": "neighbour", "anchors": 3}}, "anchors=3 must divide batch.identities=4"),
        ({"model": {"name": "osnet_x0_25", "neck": "own", "heads": {"a": {}}}}, "leave heads out"),
    ],
    ids=str,
)
def test_presets_that_contradict_themselves_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        config(**changes)


def test_defaults_are_those_of_a_plain_run() -> None:
    plain = TrainConfig.model_validate(config().model_dump(mode="json"))
    assert plain == config()
    assert (plain.views, plain.sampler.kind, plain.teacher, plain.model.heads) == (1, "identity", None, {})
