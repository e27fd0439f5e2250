"""Arrays to training segments: L policy steps, one replanning stride apart, that never cross an episode."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from smp_policy.learn.data import Demonstrations
from smp_policy.learn.normalise import chunk_rows
from smp_policy.run.normaliser import Normaliser
from smp_policy.smp.encoder import Observation
from smp_policy.smp.policy import Segments

BACK_ROWS = 8  # 0.4 s: a displacement of 0.1 rad comes back at a quarter of an rad a second


@dataclass(frozen=True, eq=False)
class SegmentSampler:
    """Every segment of a data set, normalised, on one device; `batch` draws some."""

    row: Tensor  # (S, L) row of each policy step
    starts: Tensor  # (S,) the segment begins its episode: no policy step of its grid comes before
    chunk: Tensor  # (R, H) rows of `action` in the chunk of each row
    proprio: Tensor  # (R, P) normalised
    task: Tensor  # (R,)
    slots: Tensor | None  # (R, slots, F) normalised
    pictures: Tensor | None  # (R', cameras, 3, px, px) uint8 of all rows ever loaded
    seen: Tensor | None  # (R', F) instead: what frozen eyes made of them
    picture: Tensor  # (R,) which of them belongs to each row
    target: Tensor  # (R, 14) rad, m
    action: Tensor  # (R, 14) rad, m
    pushed: Tensor  # (R, 14) rad, m
    phase: Tensor  # (R,)
    scale: Tensor  # (14,)
    proprio_scale: Tensor  # (P,)

    @staticmethod
    def of(
        data: Demonstrations,
        normaliser: Normaliser,
        length: int,
        stride: int,
        rows: int,
        device: str = "cpu",
        pictures: Tensor | None = None,
        seen: NDArray[np.float32] | None = None,
    ) -> SegmentSampler:
        """Segments of ``length`` policy steps ``stride`` rows apart, chunks of ``rows`` rows.

        pictures: what `learn.pictures` made of ``data.paths``, on ``device``: a GPU takes them whole (10 GB for 600
        episodes with three cameras) and then never waits for them.
        """
        put = lambda x, kind: torch.as_tensor(x, dtype=kind, device=device)  # noqa: E731
        row, is_first = segments(data, length, stride)
        every_row = np.arange(len(data.state))
        task = np.repeat(data.task, np.diff(data.first))
        return SegmentSampler(
            row=put(row, torch.int64),
            starts=put(is_first, torch.bool),
            chunk=put(chunk_rows(data, every_row, rows), torch.int64),
            proprio=put(normaliser.proprio(data.state, data.target), torch.float32),
            task=put(task, torch.int64),
            slots=None if data.objects is None else put(normaliser.slots(data.objects), torch.float32),
            pictures=pictures,
            seen=None if seen is None else put(seen, torch.float32),
            picture=put(data.picture, torch.int64),
            target=put(data.target, torch.float32),
            action=put(data.action, torch.float32),
            pushed=put(data.pushed, torch.float32),
            phase=put(data.phase, torch.int64),
            scale=put(normaliser.action_scale, torch.float32),
            proprio_scale=put(normaliser.proprio_scale, torch.float32),
        )

    def __len__(self) -> int:
        """S, segments there are."""
        return len(self.row)

    def batch(self, index: Tensor, away: Tensor | None = None) -> tuple[Segments, Tensor]:
        """Segments number ``index`` [N], and the phase of each of their policy steps [N, L].

        away [2, N, L, 14]: joints, and set-points, as if displaced by so much [rad, m]. From where they are, so or by a
        push, the chunk comes back to the way that was meant within BACK_ROWS.
        """
        row = self.row[index]  # [N, L]
        off, meant = self.pushed[row], self.target[row] - self.pushed[row]  # [N, L, 14]
        proprio = self.proprio[row]
        if away is not None:
            joints, target = away
            off = off + target
            proprio = proprio + torch.cat((joints, target - joints), -1)[..., : proprio.shape[-1]] / self.proprio_scale
        chunk = self.action[self.chunk[row]] - meant.unsqueeze(-2)  # [N, L, H, 14]
        back = torch.arange(1, chunk.shape[-2] + 1, device=row.device).div(BACK_ROWS).clamp_max(1.0)  # [H]
        chunk = (chunk - back.unsqueeze(-1) * off.unsqueeze(-2)) / self.scale
        observation = Observation(
            proprio=proprio,
            task=self.task[row],
            slots=None if self.slots is None else self.slots[row],
            images=None if self.pictures is None else self.pictures[self.picture[row]],
            seen=None if self.seen is None else self.seen[self.picture[row]],
        )
        displaced = None if away is None or self.pictures is None else away.flatten(2).any(-1).any(0)
        return Segments(observation, chunk, self.starts[index], displaced), self.phase[row]


def segments(data: Demonstrations, length: int, stride: int) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """(S, L) rows of every segment whose policy steps all have a picture, (S,) as `segment_starts`. Raises as that.

    Models without cameras have all of them: only `pictures.numbered` leaves rows out.
    """
    starts_at, is_first = segment_starts(data.first, length, stride)
    row = starts_at[:, None] + stride * np.arange(length)
    whole = (data.picture[row] >= 0).all(1)
    return row[whole], is_first[whole]


def segment_starts(first: NDArray[np.int64], length: int, stride: int) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """(S,) first row of every segment that lies within its episode, and whether none of its grid precedes it.

    Raises ValueError when every episode is shorter than a segment.
    """
    span = stride * (length - 1) + 1
    offsets = [np.arange(max(0, end - begin - span + 1)) for begin, end in pairwise(first)]
    rows = np.concatenate([begin + offset for begin, offset in zip(first[:-1], offsets, strict=True)])
    if not len(rows):
        longest = int(np.diff(first).max())
        raise ValueError(f"the longest episode has {longest} rows, a segment of {length} policy steps needs {span}")
    return rows, np.concatenate(offsets) < stride
