"""docs/losses.md from the docstrings of the terms: `python -m retrace.tools.pages.losses > docs/losses.md`."""

from __future__ import annotations

import inspect
import textwrap
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from retrace.tools import ROOT

if TYPE_CHECKING:
    from retrace.tools.loss_bench.jobs import Result
    from retrace.tools.loss_bench.report import Regime

RESULTS, STEPS = ROOT / "docs/bench/losses.jsonl", ROOT / "docs/bench/steps.json"

INTRODUCTION = """\
# Losses

Made from the docstrings by `python -m retrace.tools.pages.losses`; a test keeps it so.

`losses` in a training preset is a list of terms, NAME or NAME@TAG (the same term twice needs tags), each with its
settings and

- `weight` (default 1), and `lr` for what it learns (default: the network's rate);
- `on`: the vector it is put on instead of the embedding: `features` (after the neck), `pooled` (before the embedding
  layer), or a head of `model.heads`.

```yaml
model: {name: osnet_x0_25, embedding: 512, heads: {aux: {kind: mlp, dim: 1024}}}
losses:
  cross_entropy: {label_smoothing: 0.1}
  multi_similarity: {}
  multi_similarity@aux: {on: aux, weight: 0.25}
  memory: {weight: 0.5, size: 4096}
sampler: {kind: neighbour, anchors: 4}     # identity (default), neighbour, cluster, together, random
census: {every: 1}                         # epochs between looks at the whole training set, where somebody reads them
teacher: {ema: 0.999}                      # or {weights: FILE}: looks at the same augmented images
views: 2                                   # every image augmented twice
```

Heads are `linear`, `mlp`, `slice`, `stripes` (PCB), `moments` (HORDE), `attention` (after ABE); they vanish at export
unless they have `keep: true`. What a term needs and the run has not is one line before the first step. Everything
that a term remembers is in the checkpoint, so a run that goes on repeats to the last bit on a CPU. Distances of unit
vectors are meant where it says so; B is the batch, C the training identities.

Every term here has a slow twin in `tests/reid/losses/` and teaches a small network who is who among new people there.
Which is worth its time on people is another question: `cross_entropy` + `batch_hard_triplet` is the yardstick, and
most gaps between good losses are smaller than the difference of two seeds.

## Systems

Systems are made of terms. What is ours, and how near to the paper: "as published" has its equations and defaults (of
people where we say so); what we could not read or left out is named. "Reference" is there to be compared with, and is
not worth its time on people.

| system | made of | how near | when |
|---|---|---|---|
| Cross-batch memory (XBM) | `memory` | as published | small batches, many people |
| Group Loss | `cross_entropy` + `group_loss` | as published; ++ adds steps of inference only | beside a classifier, \
at no cost |
| Intra-batch connections | `cross_entropy` + `message_passing` | as published, narrower | batches that mix cameras |
| HTL | `hierarchical_triplet`, sampler `neighbour` | linkage and top of the tree ours | late, from weights that know \
people |
| Neighbour batches | any term, sampler `neighbour` | as QAConv's graph sampler with `anchors: 1` | hard negatives \
for one census an epoch |
| Proxy-NCA, ++ | `proxy_nca`, `model.pool: max` | as published | few images of many people |
| ArcFace, sub-centres | `arcface` (`centres`) | as published, smaller scale and margin | many people, noisy labels |
| SoftTriple | `soft_triple` | as published, 3 centres | people seen from several sides |
| ProxyGML | `proxy_graph` | as published, 2 proxies | as Proxy-NCA |
| Ranked list | `ranked_list` | as published | metric term alone |
| rho-switch | `switch` of `drawn_triplet`, `margin` | as published | other places than those trained in |
| S2SD | `s2sd`, two `mlp` heads | as published, 2 of 4 teachers | short vectors |
| RKD, FitNets | `relational_distillation`, `teacher_distances`, `teacher_features`, `teacher_similarities` | RKD as \
published, its angles on 32 of 64 images | a larger or another teacher |
| HORDE | a term on the embedding and on `moments` heads | as published, products of 256 numbers, not 8,192 | \
training time to spare |
| DiVA | `margin` on three vectors, `separation`, `self_similarity` | as published, its queue weighted as its text \
says | people and places nobody saw |
| Sharing Matters | `margin@shared: {on: HEAD, triplets: shared}`, `separation` | its rule as DiVA's code has it; \
text not read | as DiVA |
| PADS | `policy_sampling`, `census: {held: 0.1}` | as published, rewarded by recall@1 alone; `adapted_sampling` is \
its cheap twin | long trainings |
| Divide and Conquer | `divided_slices`, sampler `cluster` | as published, 2 to 4 clusters | as neighbour batches |
| BIER, A-BIER | `boosted_slices` (`adversary`) | as published; the adversary's gradient reaches the whole network | \
several short vectors in one |
| ABE | a term on each of two kept `attention` heads, `diversity` | masks on the last map, not before the last stage | |
| HDC | `cascade` on two kept heads | heads on the last map, not at three depths | |
| Bias-corrected triplet | `selection_balance` | the idea; text not read, hence the name | |
| DAMLRRM | `spanning_tree` | its choice of pairs, not its two streams | people seen from all sides |
| DE-DSP | `learned_sampler` | reference; abstract only | |
| Facility location | `facility_location` | reference; as published | |
| Deep spectral clustering | `spectral_clustering` on a narrow head | reference; as published, with a ridge | |
| Cross-Scale Learning | `cross_scale` | reference; abstract only | labels of several scales |
| VA-reID | `viewpoint` | the form ours, its labels public | data with viewpoints |
| PCB | `classifier: {on: STRIPES, parts: 4}`, kept `stripes` | as published, without refined parts | boxes cut well |
| ABD-Net | `orthogonal_maps`, `attention` heads | its penalty on features; one mask for its two attentions | |
| AANet | `attribute_tasks` | its weighted tasks, not its attention maps | data with attributes |
| Prototypical episodes | `prototypical` (`across`: cameras) | as published, on unit vectors | few-shot use |
| Zero-shot prototypes | `attribute_prototypes` | as published, linear | search by description |
| SimCLR | `nt_xent` on an `mlp` head, `views: 2`, sampler `random`, preset `simclr` | as published, batches of 64 | \
crops nobody labelled |
| Learning from video | `tracklet_pairs`, sampler `together`, on what `tools/mot_crops.py` writes | ours, after Wang \
and Gupta; `tools/adapt_reid.py` is the whole tool | one's own cameras |
"""
MEASURED = """\
## What they do on people

`tools/bench_losses.py` compares them as the Reality Check does (Musgrave et al. 2020): one network, size, augmentation,
batch, budget and small search for everybody (`configs/bench/losses.yaml`), validation people apart from the test's,
several seeds, intervals, and groups where others print ranks. Regimes are never mixed. People: Market-1501, 100
held-out training ids (439 queries, 1,318 gallery images); CUHK03 detected, 100 people, is the other place.

```bash
python tools/bench_losses.py run --regime frozen                              # once a core; stops and goes on
python tools/bench_losses.py run --regime finetune --entrants core --published
python tools/bench_losses.py track --regime finetune
python tools/bench_losses.py check
python tools/bench_losses.py steps
python tools/bench_losses.py report --out page
```

"""
COSTS = """\
### What a step costs

CPU ms of the objective, forward and backward, and the ratio of a whole training step (OSNet x0.25 at 128 x 64, batch
64, one thread) to the yardstick's, `bench_losses.py steps`; above 1.3: {above}.

"""
REFUSALS = """\
## From pytorch-metric-learning: `pml.NAME`

Any of its losses, with `distance`, `miner`, `reducer`, `embedding_regularizer`, `weight_regularizer` by name or as
{name: settings}. Vectors are normalised by its distances unless they are told otherwise. Not these:

"""


def losses_page() -> str:
    """The whole page, Markdown."""
    from retrace.reid.losses.objective import TERMS
    from retrace.reid.losses.pml import REFUSED

    families: dict[str, list[str]] = {}
    for name, make in TERMS.items():
        families.setdefault(make.__module__.rpartition(".")[2], []).append(name)
    regimes = _regimes()
    parts = [INTRODUCTION, _measured(regimes), _table(TERMS)]
    for family, names in families.items():
        module = inspect.getmodule(TERMS[names[0]])
        parts.append(f"## {family}: {_first_line(module)}\n")
        parts += [_section(name, TERMS[name], regimes) for name in names]
    parts.append(REFUSALS + "\n".join(f"- `{name}`: {why}" for name, why in REFUSED.items()) + "\n")
    return "\n".join(parts)


def _regimes() -> list[Regime]:
    """What has been measured so far."""
    from retrace.tools.loss_bench.entrants import read_bench
    from retrace.tools.loss_bench.jobs import read_bench_results
    from retrace.tools.loss_bench.report import read_all

    results, bench = read_bench_results(RESULTS), read_bench()
    searched, published = read_all(bench, results), read_all(bench, results, published=True)
    # A regime that nobody has searched yet is shown with the published settings.
    return [one if one.rows else other for one, other in zip(searched, published, strict=True)]


def _measured(regimes: list[Regime]) -> str:
    from retrace.eval.report import as_markdown_table
    from retrace.tools.loss_bench.cost import LIMIT, read_costs
    from retrace.tools.loss_bench.entrants import read_bench
    from retrace.tools.loss_bench.jobs import read_bench_results
    from retrace.tools.loss_bench.report import markdown, number

    costs = read_costs(STEPS)
    source = textwrap.fill(read_bench().source, 120)
    parts = [MEASURED + f"{source}\n\n" + markdown(regimes)]
    if costs:
        ordered = sorted(costs, key=lambda name: (costs[name].ratio, name))
        above = (
            ", ".join(f"{n} ({costs[n].ratio:.2f})" for n in ordered if costs[n].ratio > LIMIT) or "nothing"
        )
        lines = [["loss", "ms", "ratio"]]
        lines += [[name, number(costs[name].ms), number(costs[name].ratio)] for name in ordered]
        parts.append(COSTS.format(above=above) + as_markdown_table(lines))
    parts.append(checked(read_bench_results(RESULTS)))
    return "\n".join(parts)


# Their loss need not fall: the first two seek harder negatives, the others average over what breaks their margins.
HARDER = ("policy_sampling", "adapted_sampling", "ranked_list", "pml.RankedListLoss")
CHECKED = """\
### Does it train

Each objective alone from random weights (where it needs cross-entropy, beside it), 200 steps of 8 x 4 crops of 64 x 32
of 64 people, `bench_losses.py check`: no comparison, but a proof that the loss falls, that people nobody trained on are
found with at least 1.5 times the mAP of chance ({chance:.1f}), and that a run stopped at step 150 and gone on with ends
in the same bytes. The loss is the mean of the first and of the last {few} steps. It may stay where harder negatives are
sought (policy and adapted sampling) or where only pairs that still break a margin are averaged (ranked list; the
library's margin and SNR losses are asked with `reducer: MeanReducer` instead). Message passing and S2SD need longer: in
600 steps their loss falls from 8.41 to 7.04 and from 1.03 to 0.93, at 16.8 and 12.8 mAP.
{bad}{start}{left}

"""


def checked(results: list[Result]) -> str:
    """What `bench_losses.py check` found; empty: nobody has asked."""
    from retrace.eval.report import as_markdown_table
    from retrace.tools.loss_bench.check import FEW
    from retrace.tools.loss_bench.jobs import CHECK

    lines = {one["entrant"]: one for one in results if one["stage"] == CHECK}
    first = lines.pop("random weights", None)
    if not lines:
        return ""
    start = 100 * first["mAP"] if first else 0.0
    chance = 100 * next((one["chance"] for one in lines.values() if "chance" in one), 0)
    rows, bad, below = [["objective", "loss", "mAP", "same bytes"]], [], []
    for name, one in lines.items():
        if "failed" in one:
            bad.append(f"{name} ({one['failed']})")
            continue
        value = 100 * one["mAP"]
        rows.append(
            [
                name,
                f"{one['first']:.3g} to {one['last']:.3g}",
                f"{value:.1f}",
                "yes" if one["same"] else "no",
            ]
        )
        falls = one["last"] < one["first"] or name in HARDER
        if not (falls and one["same"] and value >= 1.5 * chance):
            bad.append(name)
        elif value <= start:
            below.append(name)
    text = CHECKED.format(
        chance=chance,
        few=FEW,
        start=(
            f" So few steps do not reach what colours seen by random weights find ({start:.1f}): {', '.join(below)}."
            if below
            else ""
        ),
        bad=f"Not so: {', '.join(bad)}." if bad else "All that were asked do.",
        left=_unchecked(lines),
    )
    return text + as_markdown_table(rows)


def _unchecked(lines: dict[str, Any]) -> str:
    from retrace.reid.losses.pml import usable
    from retrace.tools.loss_bench.entrants import read_bench

    names = [*read_bench().entrants, *(f"pml.{name}" for name in usable())]
    left = [name for name in names if name not in lines]
    return f" Not asked yet: {', '.join(left)}." if left else ""


def _table(terms: dict[str, Callable[..., Any]]) -> str:
    rows = ["## Terms\n", "| term | what | learns | settings |", "|---|---|---|---|"]
    for name, make in terms.items():
        settings = ", ".join(f"{key} {_shown(default)}" for key, default in _settings(make).items()) or "none"
        what = _first_line(make).removesuffix(".").replace("|", "\\|")
        rows.append(
            f"| [`{name}`](#{name}) | {what} | {'yes' if inspect.isclass(make) else ''} | {settings} |"
        )
    return "\n".join(rows) + "\n"


def _section(name: str, make: Callable[..., Any], regimes: list[Regime]) -> str:
    from retrace.reid.losses.batch import arguments

    call = make.forward if inspect.isclass(make) else make  # type: ignore[attr-defined]
    reads, _ = arguments(call)
    text = textwrap.dedent(inspect.getdoc(make) or "").replace("``", "`")
    did = "".join(f"\n{line}\n" for line in _did(name, regimes))
    return f"### {name}\n\n{text}\n\nReads {', '.join(f'`{one}`' for one in reads)}.\n{did}"


def _did(name: str, regimes: list[Regime]) -> list[str]:
    """What a term did in the tables: a line each entrant that it is in."""
    from retrace.tools.loss_bench.entrants import read_bench
    from retrace.tools.loss_bench.report import bounds, letter

    entrants = read_bench().entrants
    lines = []
    for regime in regimes:
        for row in regime.rows:
            terms = [term.partition("@")[0] for term in entrants[row.name].losses]
            if name in terms and (name != "cross_entropy" or set(terms) == {name}):
                lines.append(
                    f"In *{regime.name}*, as `{row.name}`: mAP {bounds(row.mAP)}, group {letter(row.group)}."
                )
    return lines


def _settings(make: Callable[..., Any]) -> dict[str, Any]:
    from retrace.reid.losses.batch import arguments

    _, known = arguments(make.__init__ if inspect.isclass(make) else make)
    return {key: parameter.default for key, parameter in known.items()}


def _shown(default: Any) -> str:
    if default == () or default == "":
        return "(names)"
    return f"{default:g}" if isinstance(default, float) else str(default)


def _first_line(thing: Any) -> str:
    return " ".join((inspect.getdoc(thing) or "").partition("\n\n")[0].split()).replace("``", "`")


if __name__ == "__main__":
    print(losses_page(), end="")
