"""BatchNorm layers that go by the crops they are shown instead of their training data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from retrace.configs import InputError
from retrace.reid.runtime.network import Network
from retrace.reid.runtime.torch_runtime import TorchRun

ENOUGH = 8  # crops whose statistics stand alone under norm "frame"; fewer are filled up with stored ones
PRIOR = 16  # crops that the stored statistics count for when a video begins under norm "video"
MEMORY = 4096  # crops: from there on norm "video" forgets its oldest, so that daylight may change


def adapt(network: Network, norm: str) -> tuple[Network, VideoSoFar]:
    """Let the BatchNorm layers of a network from :func:`open_torch` go by what they are shown.

    Its layers are replaced by :class:`AdaptiveNorm`; the statistics of the file are kept, read and never
    written.

    Args:
        network: it changes too: the layers are its own.
        norm: "frame" or "video", see `Embedder.from_weights`.

    Returns:
        The network, and what it knows of the video so far.

    Raises:
        InputError: TorchScript, or a network without such layers.
    """
    assert isinstance(network.run, TorchRun)
    body = network.run.network
    if isinstance(body, torch.jit.ScriptModule):
        raise InputError(
            f"norm {norm!r}: TorchScript cannot be changed; give the .safetensors or .pth it was made from"
        )
    layers = []
    for parent in [*body.modules()]:
        for name, child in [*parent.named_children()]:
            if isinstance(child, _BatchNorm) and child.running_mean is not None:
                setattr(parent, name, AdaptiveNorm(child, norm == "video"))
                layers.append(getattr(parent, name))
    if not layers:
        raise InputError(f"norm {norm!r}: this network has no BatchNorm layers with stored statistics")

    return replace(network, place=f"{network.place}, BatchNorm by the {norm}"), VideoSoFar(layers)


class VideoSoFar:
    """The statistics that the layers of one network have taken from the crops so far, with norm "video"."""

    def __init__(self, layers: list[AdaptiveNorm]) -> None:
        self._layers = layers

    def forget(self) -> None:
        for layer in self._layers:
            layer.forget()

    def state_dict(self) -> dict[str, np.ndarray]:
        """mean, var: (C,) float32, of all channels of all L layers; seen (L,) int64 crops."""
        mean, var = (torch.cat([layer.known[k] for layer in self._layers]).cpu().numpy() for k in (0, 1))
        return {"mean": mean, "var": var, "seen": np.array([layer.seen for layer in self._layers])}

    def load_state_dict(self, state: Mapping[str, np.ndarray]) -> None:
        """Go on exactly where :meth:`state_dict` was taken.

        Raises:
            InputError: of another network.
        """
        sizes = [len(layer.known[0]) for layer in self._layers]
        if {*state} != {"mean", "var", "seen"} or any(
            state[k].shape != (sum(sizes),) for k in ("mean", "var")
        ):
            raise InputError("not the statistics of this network")
        for layer, mean, var, seen in zip(
            self._layers,
            torch.from_numpy(state["mean"]).split(sizes),
            torch.from_numpy(state["var"]).split(sizes),
            state["seen"].tolist(),
            strict=True,
        ):
            place = layer.known[0].device
            layer.known, layer.seen = (mean.to(place), var.to(place)), seen


class AdaptiveNorm(nn.Module):
    """A BatchNorm layer that normalises by the statistics of the crops it sees; nothing is learned.

    The n crops of a call are mixed with a prior that counts for N crops, as Schneider et al. 2020 (arXiv
    2006.16971) mix them; the last term, the spread between the two, is ours. With a = n / (N + n):

        mean = (1 - a) prior mean + a mean,   var = (1 - a) prior var + a var + a (1 - a) (mean - prior mean)^2

    "frame", as GHOST (Seidenschwarz et al. 2023, arXiv 2206.04656): the prior is the stored statistics and N
    what n lacks of ENOUGH crops, so that n >= ENOUGH stand alone. A lone crop would be measured by itself.
    "video": the prior is the mixture after the last call, N all crops so far and at most MEMORY.
    """

    def __init__(self, layer: _BatchNorm, video: bool) -> None:
        super().__init__()
        self.layer = layer  # its running statistics are only read
        self._video = video
        self.forget()

    def forget(self) -> None:
        assert self.layer.running_mean is not None
        assert self.layer.running_var is not None
        self.known = self.layer.running_mean, self.layer.running_var  # mean and variance, each (C,)
        self.seen = PRIOR  # crops that the two stand for

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """(B, C, ...) -> the same shape."""
        crops, (before, spread) = len(maps), self.known
        # 40 times faster on a CPU than var_mean of maps in channels_last.
        mean, var = torch.batch_norm_update_stats(maps.float(), None, None, 0.0)
        share = crops / (crops + (self.seen if self._video else max(0, ENOUGH - crops)))
        apart = mean - before
        mean = torch.lerp(before, mean, share)
        var = torch.lerp(spread, var, share) + share * (1 - share) * apart**2
        if self._video:
            self.known, self.seen = (mean, var), min(self.seen + crops, MEMORY)
        return nn.functional.batch_norm(
            maps, mean, var, self.layer.weight, self.layer.bias, False, 0.0, self.layer.eps
        )
