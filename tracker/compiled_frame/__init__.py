"""A whole frame in one compiled call: from prediction to the reported tracks.

The Python between a hundred small array operations would otherwise cost more than their arithmetic. The rules (who is
confirmed, forgotten, a duplicate, shown) and formulas of costs are those of tracks/ and association/, compiled as they
stand; here are the loops around them, in files of the same names. It serves all presets: what `tracker.rules` has no
room for runs step by step.
"""

from numba.extending import register_jitable

from retrace.tracker.association.arithmetic import angle, angle_of, exp, length, log
from retrace.tracker.association.costs import (
    heights_iou,
    on_a_line,
    smaller_cue,
    trust_in_track,
    turn,
    turn_from_mean,
    within,
)
from retrace.tracker.compiled_frame.frame import run_frame
from retrace.tracker.rows import expected, seen_within
from retrace.tracker.tracks.lifecycle import confirmed, confirmed_at_birth, may_begin, remembered
from retrace.tracker.tracks.overlaps import alike, lives_longer, may_be_duplicates, stands_behind
from retrace.tracker.tracks.scores import corrected, forecast
from retrace.tracker.tracks.shown import coasting, in_sight, may_be_hidden

_RULES = (
    *(expected, seen_within, confirmed, confirmed_at_birth, may_begin, remembered, alike, lives_longer),
    *(may_be_duplicates, stands_behind, coasting, in_sight, may_be_hidden, forecast, corrected),
    *(heights_iou, on_a_line, smaller_cue, trust_in_track, turn, turn_from_mean, within),
    *(length, angle, angle_of, exp, log),
)
for _rule in _RULES:
    register_jitable(error_model="numpy")(_rule)

__all__ = ["run_frame"]
