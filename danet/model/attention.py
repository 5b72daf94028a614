"""Relation-aware self-attention in space and time, and cross-attention between views.

Shapes: K actors, T moments (one or more frames each), L tokens (V joints, then P body parts), D channels, H heads.
"""

import torch
from torch import Tensor, nn

from danet.skeleton import Layout

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


def pair_geometry(places: Tensor) -> Tensor:
    """(K, T, L, 3) metres to (K, T, 2, L, L): the distance of each pair of tokens, and its change to the next frame.

    Neither changes when the whole skeleton is turned or moved.
    """
    distance = torch.cdist(places, places, compute_mode="donot_use_mm_for_euclid_dist")
    change = torch.diff(distance, dim=1, append=distance[:, -1:])
    return torch.stack([distance, change], dim=2)


class SpatialAttention(nn.Module):
    """Each token attends to the tokens of its moment.

    The first half of the heads sees only the token's own part. With `relations`, the logits get a learned term for
    what the pair is to each other and two for how far apart it is and how that changes.
    """

    hidden: Tensor
    relation: Tensor

    def __init__(self, *, width: int, heads: int, layout: Layout, parts: bool, relations: bool):
        super().__init__()
        relation, near, kinds = token_relations(layout, parts)
        self.heads, self.relations = heads, relations
        self.project = nn.Linear(width, 3 * width)
        self.merge = nn.Linear(width, width)
        local = torch.arange(heads) < heads // 2
        hidden = torch.where(local[:, None, None] & ~near, -torch.inf, 0.0)
        self.register_buffer("hidden", hidden, persistent=False)
        self.register_buffer("relation", relation, persistent=False)
        if relations:
            self.relation_term = nn.Parameter(torch.zeros(heads, kinds))
            self.geometry_term = nn.Parameter(torch.zeros(heads, 2))

    def forward(self, tokens: Tensor, geometry: Tensor) -> tuple[Tensor, Tensor]:
        """(K, T, L, D) and (K, T, 2, L, L) to (K, T, L, D) and the attention (K, T, H, L, L), rows summing to 1."""
        k, t, length, width = tokens.shape
        query, key, value = self.project(tokens).view(k, t, length, 3, self.heads, -1).permute(3, 0, 1, 4, 2, 5)
        bias = self.hidden
        if self.relations:
            bias = bias + self.relation_term[:, self.relation]
            bias = bias + torch.einsum("ktgij,hg->kthij", geometry, self.geometry_term)
        logits = query @ key.transpose(-1, -2) * query.shape[-1] ** -0.5 + bias
        attention = logits.softmax(dim=-1)  # (K, T, H, L, L)
        mixed = (attention @ value).transpose(2, 3).reshape(k, t, length, width)
        return self.merge(mixed), attention


class TemporalAttention(nn.Module):
    """Each token attends to itself in the other moments of the clip.

    The first half of the heads sees `window` moments to either side. With `relations`, the logits get a learned term
    for the distance in time.
    """

    hidden: Tensor
    apart: Tensor

    def __init__(self, *, width: int, heads: int, moments: int, window: int, relations: bool):
        super().__init__()
        self.heads, self.relations = heads, relations
        self.project = nn.Linear(width, 3 * width)
        self.merge = nn.Linear(width, width)
        moment = torch.arange(moments)
        apart = moment[:, None] - moment[None]
        local = torch.arange(heads) < heads // 2
        hidden = torch.where(local[:, None, None] & (apart.abs() > window), -torch.inf, 0.0)
        self.register_buffer("hidden", hidden, persistent=False)
        self.register_buffer("apart", apart + moments - 1, persistent=False)
        if relations:
            self.time_term = nn.Parameter(torch.zeros(heads, 2 * moments - 1))

    def forward(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """(K, T, L, D) to (K, T, L, D) and the attention (K, L, H, T, T), rows summing to 1."""
        k, t, length, width = tokens.shape
        query, key, value = self.project(tokens).view(k, t, length, 3, self.heads, -1).permute(3, 0, 2, 4, 1, 5)
        bias = self.hidden
        if self.relations:
            bias = bias + self.time_term[:, self.apart]
        attention = (query @ key.transpose(-1, -2) * query.shape[-1] ** -0.5 + bias).softmax(dim=-1)
        mixed = (attention @ value).permute(0, 3, 1, 2, 4).reshape(k, t, length, width)
        return self.merge(mixed), attention


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
        """(B, L, D) twice to the enriched own tokens (B, L, D) and the attention (B, H, L, L), rows summing to 1."""
        b, length, width = own.shape
        seen = self.norm(other)
        query = self.query(self.norm(own)).view(b, length, self.heads, -1).transpose(1, 2)
        key, value = self.key_value(seen).view(b, length, 2, self.heads, -1).permute(2, 0, 3, 1, 4)
        attention = (query @ key.transpose(-1, -2) * query.shape[-1] ** -0.5).softmax(dim=-1)
        mixed = (attention @ value).transpose(1, 2).reshape(b, length, width)
        return own + self.merge(mixed), attention
