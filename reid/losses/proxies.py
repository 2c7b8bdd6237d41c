"""Terms that learn vectors which stand for identities."""

from __future__ import annotations

import math
from typing import Literal

import torch
import torch.nn.functional as F
from torch import nn


class Centre(nn.Module):
    """1/2 mean |f - c_id|^2 with a learned centre an identity (Wen et al. 2016, equation 2, averaged)."""

    def __init__(self, classes: int, dimensions: int) -> None:
        super().__init__()
        self.centres = nn.Parameter(torch.randn(classes, dimensions))

    def forward(self, embeddings: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
        return (embeddings - self.centres[ids]).square().sum(1).mean() / 2


class ProxyNCA(nn.Module):
    """-log softmax of -scale |f - p|^2 over unit proxies, one an identity.

    "++" (Teh et al. 2020): over all of them, temperature 1 / scale = 1 / 9. "original"
    (Movshovitz-Attias et al. 2017): the own proxy is left out of the sum, so it may fall below 0; there
    scale is 1. A log-softmax, so the worst sample has the largest gradient. The proxies want a rate far above the
    network's: ``lr`` a hundred times Adam's, ten times SGD's.
    """

    def __init__(
        self,
        classes: int,
        dimensions: int,
        *,
        scale: float = 9.0,
        form: Literal["++", "original"] = "++",
    ) -> None:
        super().__init__()
        self.scale, self.form = scale, form
        self.proxies = nn.Parameter(torch.randn(classes, dimensions))

    def forward(self, unit: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
        logits = -self.scale * (2 - 2 * unit @ F.normalize(self.proxies, dim=1).T)
        if self.form == "++":
            return F.cross_entropy(logits, ids)
        own = logits.gather(1, ids[:, None])
        others = logits.scatter(1, ids[:, None], -torch.inf).logsumexp(1)
        return (others - own[:, 0]).mean() if logits.shape[1] > 1 else unit.sum() * 0


class SoftTriple(nn.Module):
    """Cross-entropy with several centres an identity, softly chosen (Qian et al. 2019).

    S_c = sum_k softmax_k(s_ck / gamma) s_ck; cross-entropy of scale (S_c - margin at c = y); + tau x sum over
    identities of the distances of their centres' pairs / (C K (K - 1)), which merges centres that an identity does
    not need. The authors take 10 centres; 2 to 4 are enough for front, side and back, and cost less (ours: 3).
    """

    def __init__(
        self,
        classes: int,
        dimensions: int,
        *,
        centres: int = 3,
        scale: float = 20.0,
        gamma: float = 0.1,
        margin: float = 0.01,
        tau: float = 0.2,
    ) -> None:
        super().__init__()
        self.scale, self.gamma, self.margin, self.tau = scale, gamma, margin, tau
        self.centres = nn.Parameter(torch.randn(classes, centres, dimensions))

    def forward(self, unit: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
        centres = F.normalize(self.centres, dim=2)
        cosines = torch.einsum("bd,ckd->bck", unit, centres)
        near = ((cosines / self.gamma).softmax(2) * cosines).sum(2)
        logits = self.scale * (near - self.margin * F.one_hot(ids, near.shape[1]))
        return F.cross_entropy(logits, ids) + self.tau * self.scattered(centres)

    def scattered(self, centres: torch.Tensor) -> torch.Tensor:
        """The regulariser, of (C, K, D) unit centres."""
        count = centres.shape[1]
        if count == 1:
            return centres.sum() * 0
        first, second = torch.triu_indices(count, count, 1, device=centres.device)
        cosines = torch.einsum("ckd,cjd->ckj", centres, centres)[:, first, second]
        return (2 + 1e-5 - 2 * cosines).clamp_min(1e-12).sqrt().sum() / (len(centres) * count * (count - 1))


class ProxyGraph(nn.Module):
    """Each image keeps its nearest few of all proxies and votes by class (ProxyGML, Zhu et al. 2020).

    N unit proxies an identity. Of the cosines to all C N an image keeps the ceil(share C N) largest, those of its own
    identity always; Z_c sums what is kept of c; -log of the masked softmax over identities with Z_c not 0. Plus
    ``regular`` x the cross-entropy of every proxy against all, without selection. The authors take 12 proxies and a
    share of 0.05; with few images an identity 2 to 4 proxies do (ours: 2).
    """

    def __init__(
        self,
        classes: int,
        dimensions: int,
        *,
        proxies: int = 2,
        share: float = 0.05,
        regular: float = 0.3,
    ) -> None:
        super().__init__()
        self.count, self.share, self.regular = proxies, share, regular
        self.proxies = nn.Parameter(torch.empty(classes, proxies, dimensions))
        nn.init.kaiming_uniform_(self.proxies.view(classes * proxies, dimensions), a=math.sqrt(5))

    def forward(self, unit: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
        proxies = F.normalize(self.proxies, dim=2)
        classes, count, _ = proxies.shape
        cosines = torch.einsum("bd,cnd->bcn", unit, proxies)
        own = F.one_hot(ids, classes).bool()
        ranked = (cosines + 1000 * own[:, :, None]).flatten(1)
        kept = math.ceil(self.share * classes * count)
        border = ranked.topk(min(max(kept, count), classes * count), dim=1).values[:, -1:]
        votes = (cosines * (ranked >= border).view_as(cosines)).sum(2)
        votes = votes.masked_fill((votes == 0) & ~own, -torch.inf)
        every = proxies.flatten(0, 1) @ proxies.sum(1).T  # an identity's cosines summed: one product
        labels = torch.arange(classes, device=ids.device).repeat_interleave(count)
        return F.cross_entropy(votes, ids) + self.regular * F.cross_entropy(every, labels)
