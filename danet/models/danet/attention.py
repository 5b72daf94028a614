"""Relation-aware self-attention in space and time, and cross-attention between views.

Shapes: K clips, P patches (one or more frames each), S segments, L tokens (V joints, then body parts), D channels, H
heads.
"""

import torch
from torch import Tensor, nn

from danet.config.networks import DANetSettings
from danet.skeleton.layout import Layout

LOOK = 3.0  # added to a logit: e^3 = 20 times the attention
FURTHEST = 6  # hops on the body graph beyond which distances are alike


def token_relations(layout: Layout, parts: bool) -> tuple[Tensor, Tensor, int]:
    """What two tokens are to each other.

    Returns `relation` (L, L) int64, an index into a table of that many entries (third value): joints by hops on the
    body graph, apart for joints of one part, mirror joints, a joint and its own or another part, part and part; and
    `near` (L, L) bool: the pairs that a local head sees, the tokens of one part.
    """
    hops = torch.from_numpy(layout.hops).clamp(max=FURTHEST)
    owner = torch.from_numpy(layout.part_of)
    same = owner[:, None] == owner[None]
    relation = hops + same * (FURTHEST + 1)
    mirrored = torch.from_numpy(layout.mirrored)
    rows = torch.arange(layout.size)
    pairs = mirrored != rows
    kinds = 2 * (FURTHEST + 1)
    relation[rows[pairs], mirrored[pairs]] = kinds
    if not parts:
        return relation, same, kinds + 1
    count = len(layout.parts)
    own = owner[:, None] == torch.arange(count)[None]  # (V, P)
    full = torch.empty(layout.size + count, layout.size + count, dtype=torch.int64)
    near = torch.empty_like(full, dtype=torch.bool)
    v = layout.size
    full[:v, :v], near[:v, :v] = relation, same
    full[:v, v:], near[:v, v:] = torch.where(own, kinds + 1, kinds + 2), own
    full[v:, :v], near[v:, :v] = torch.where(own, kinds + 3, kinds + 4).T, own.T
    itself = torch.eye(count, dtype=torch.bool)
    full[v:, v:], near[v:, v:] = torch.where(itself, kinds + 5, kinds + 6), itself
    return full, near, kinds + 7


def pair_geometry(positions: Tensor, segments: int) -> Tensor:
    """(K, P, L, 3) metres to (K, S, 2, L, L): in each segment the mean distance of each pair of tokens, and the mean
    size of its change from patch to patch.

    Neither changes when the whole skeleton is turned or moved.
    """
    x, y, z = ((axis[..., :, None] - axis[..., None, :]).square() for axis in positions.unbind(dim=-1))
    distance = (x + y + z).sqrt()  # as torch.cdist, which cannot be exported
    change = torch.diff(distance, dim=1, append=distance[:, -1:]).abs()
    return torch.stack([of.unflatten(1, (segments, -1)).mean(dim=2) for of in (distance, change)], dim=2)


def local_heads(settings: DANetSettings) -> Tensor:
    """(H,) bool: the first half of the heads, or none of them."""
    return torch.arange(settings.heads) < settings.local_heads * (settings.heads // 2)


class SpatialAttention(nn.Module):
    """Each token attends to the tokens of its patch; the patches of one segment share their attention.

    Queries and keys are of the segment's mean tokens, values of every patch: so few logits are computed, and the
    mixing is one large product. The first half of the heads sees only the token's own part. With `relations`, the
    logits get a learned term for what the pair is to each other and two for how far apart it is and how that changes;
    and a learned weight of each pair, of either sign, is added to the attention, so that a head can tell tokens apart
    as well as average them (Shi et al., 2s-AGCN, CVPR 2019: the learned part of the graph).
    """

    hidden: Tensor
    relation: Tensor

    def __init__(self, settings: DANetSettings, layout: Layout):
        super().__init__()
        width, heads = settings.width, settings.heads
        with torch.device("cpu"):  # also where the network is made without numbers, on torch's meta device
            relation, near, kinds = token_relations(layout, settings.parts)
        self.heads, self.relations = heads, settings.relations
        self.query_key = nn.Linear(width, 2 * width)
        self.value = nn.Linear(width, width)
        self.merge = nn.Linear(width, width)
        local = local_heads(settings)
        relation, near = relation.to(local.device), near.to(local.device)
        hidden = torch.where(local[:, None, None] & ~near, -torch.inf, 0.0)
        self.register_buffer("hidden", hidden, persistent=False)
        self.register_buffer("relation", relation, persistent=False)
        if self.relations:
            self.relation_term = nn.Parameter(torch.zeros(heads, kinds))
            self.geometry_term = nn.Parameter(torch.zeros(heads, 2))
            self.topology = nn.Parameter(torch.zeros(heads, *relation.shape))

    def forward(self, tokens: Tensor, geometry: Tensor) -> tuple[Tensor, Tensor]:
        """(K, P, L, D) and (K, S, 2, L, L) to (K, P, L, D) and the attention (K, S, H, L, L), rows adding to 1."""
        k, p, length, width = tokens.shape
        s, h = geometry.shape[1], self.heads
        mean = tokens.view(k, s, p // s, length, width).mean(dim=2)
        query, key = self.query_key(mean).view(k * s, length, 2, h, -1).permute(2, 0, 3, 1, 4)
        bias = self.hidden.flatten(1)  # (H, L L)
        if self.relations:
            bias = bias + self.relation_term[:, self.relation].flatten(1)
            bias = torch.baddbmm(bias, self.geometry_term.expand(k * s, -1, -1), geometry.reshape(k * s, 2, -1))
        logits = query * query.shape[-1] ** -0.5 @ key.mT + bias.view(-1, h, length, length)  # (K S, H, L, L)
        attention = logits.softmax(dim=-1, dtype=torch.float32).view(k, s, h, length, length)
        value = self.value(tokens).view(k, s, p // s, length, h, -1).permute(0, 1, 4, 3, 2, 5)
        mixing = attention + self.topology if self.relations else attention
        mixed = mixing @ value.reshape(k, s, h, length, -1)  # (K, S, H, L, P / S D / H)
        mixed = mixed.view(k, s, h, length, p // s, -1).permute(0, 1, 4, 3, 2, 5)
        return self.merge(mixed.reshape(k, p, length, width)), attention


class TemporalAttention(nn.Module):
    """Each token attends to itself in the other patches of the clip; the tokens of one actor share their attention.

    Queries and keys are of a patch's mean token. The first half of the heads sees `local_radius` patches to either
    side. With `relations`, the logits get a learned term for the distance in time, and the attention a learned weight
    of either sign, as the taps of a convolution have.
    """

    hidden: Tensor
    apart: Tensor

    def __init__(self, settings: DANetSettings, patches: int):
        super().__init__()
        width, local_radius = settings.width, settings.local_radius
        self.heads, self.relations = settings.heads, settings.relations
        self.query_key = nn.Linear(width, 2 * width)
        self.value = nn.Linear(width, width)
        self.merge = nn.Linear(width, width)
        patch = torch.arange(patches)
        apart = patch[:, None] - patch[None]
        local = local_heads(settings)
        hidden = torch.where(local[:, None, None] & (apart.abs() > local_radius), -torch.inf, 0.0)
        self.register_buffer("hidden", hidden, persistent=False)
        self.register_buffer("apart", apart + patches - 1, persistent=False)
        if self.relations:
            self.time_term = nn.Parameter(self._first_time_term(patches, local_radius, local))
            self.time_kernel = nn.Parameter(torch.zeros(self.heads, 2 * patches - 1))

    @staticmethod
    def _first_time_term(patches: int, local_radius: int, local: Tensor) -> Tensor:
        """(H, 2 P - 1): at first each local head looks at one distance in time, global heads at all alike.

        The distances spread evenly over the radius, so that order counts from the first step on, as in a convolution.
        """
        term = torch.zeros(len(local), 2 * patches - 1)
        if term.is_meta:
            return term
        count = int(local.sum())
        distances = torch.linspace(-local_radius, local_radius, count + 2)[1:-1].round().long().tolist()
        for head, distance in enumerate(distances):
            column = patches - 1 + distance
            if 0 <= column < term.shape[1]:
                term[head, column] = LOOK
        return term

    def forward(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """(K, P, L, D) to (K, P, L, D) and the attention (K, H, P, P), rows adding to 1."""
        k, p, length, width = tokens.shape
        h = self.heads
        query, key = self.query_key(tokens.mean(dim=2)).view(k, p, 2, h, -1).permute(2, 0, 3, 1, 4)
        bias = self.hidden
        if self.relations:
            bias = bias + self.time_term[:, self.apart]
        attention = (query * query.shape[-1] ** -0.5 @ key.mT + bias).softmax(dim=-1)
        value = self.value(tokens).view(k, p, length, h, -1).permute(0, 3, 1, 2, 4).reshape(k, h, p, -1)
        mixing = attention + self.time_kernel[:, self.apart] if self.relations else attention
        mixed = (mixing @ value).view(k, h, p, length, -1).permute(0, 2, 3, 1, 4)
        return self.merge(mixed.reshape(k, p, length, width)), attention


class CrossAttention(nn.Module):
    """The tokens of one view attend to those of another; a single view attends to itself."""

    def __init__(self, *, width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.norm = nn.LayerNorm(width)
        self.query = nn.Linear(width, width)
        self.key_value = nn.Linear(width, 2 * width)
        self.merge = nn.Linear(width, width)

    def forward(self, own: Tensor, other: Tensor) -> tuple[Tensor, Tensor]:
        """(B, L, D) twice to the enriched own tokens (B, L, D) and the attention (B, H, L, L), rows adding to 1."""
        b, length, width = own.shape
        context = self.norm(other)
        query = self.query(self.norm(own)).view(b, length, self.heads, -1).transpose(1, 2)
        key, value = self.key_value(context).view(b, length, 2, self.heads, -1).permute(2, 0, 3, 1, 4)
        attention = (query * query.shape[-1] ** -0.5 @ key.mT).softmax(dim=-1)
        mixed = (attention @ value).transpose(1, 2).reshape(b, length, width)
        return own + self.merge(mixed), attention
