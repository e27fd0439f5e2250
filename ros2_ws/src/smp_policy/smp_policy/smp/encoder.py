"""From what the robot perceives to the shared feature s: proprioception, object slots, task, pictures."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from smp_policy.smp.config import EncoderConfig
from smp_policy.smp.layers import mlp
from smp_policy.smp.tell import JOINTS, Tell

GROUPS = 8  # of GroupNorm: BatchNorm's running statistics do not survive the EMA of weights (Diffusion Policy)


class Observation(NamedTuple):
    """What the policy sees at one instant, all with the same leading dimensions [...]. Absent inputs are None."""

    proprio: Tensor  # [..., 14] normalised
    task: Tensor  # [...] int64 number, or [..., text] float vector
    slots: Tensor | None = None  # [..., slots, slot_fields], normalised; first field 1 where the slot is filled
    images: Tensor | None = None  # [..., cameras, 3, height, width] uint8
    seen: Tensor | None = None  # [..., F] instead of images: what `Encoder.look`, or `Tell`, made of them before


class SpatialSoftmax(nn.Module):
    """Where each channel looks: expected picture coordinates in [-1, 1]; [N, C, h, w] -> [N, 2 C]."""

    def forward(self, x: Tensor) -> Tensor:
        height, width = x.shape[-2:]
        p = torch.softmax(x.flatten(-2).float(), dim=-1).unflatten(-1, (height, width))
        across = _axis(width, x.device)
        down = _axis(height, x.device)
        return torch.cat(((p.sum(-2) * across).sum(-1), (p.sum(-1) * down).sum(-1)), dim=-1)


def _axis(n: int, device: torch.device) -> Tensor:
    """n picture coordinates from -1 to 1. As numbers in an exported graph, where linspace would come out as float64."""
    axis = torch.linspace(-1.0, 1.0, n, device=device)
    return torch.tensor(axis.tolist(), device=device) if torch.onnx.is_in_onnx_export() else axis


class Residual(nn.Module):
    """Two 3x3 convolutions with GroupNorm beside a shortcut; ``stride`` 2 halves the picture."""

    def __init__(self, n_in: int, n_out: int, stride: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(n_in, n_out, 3, stride, 1, bias=False),
            nn.GroupNorm(GROUPS, n_out),
            nn.SiLU(),
            nn.Conv2d(n_out, n_out, 3, 1, 1, bias=False),
            nn.GroupNorm(GROUPS, n_out),
        )
        same = stride == 1 and n_in == n_out
        self.shortcut = nn.Identity() if same else nn.Conv2d(n_in, n_out, 1, stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.silu(self.body(x) + self.shortcut(x))


def camera_network(config: EncoderConfig) -> nn.Sequential:
    """[N, 3, h, w] -> [N, 3 C]: 2 C keypoint coordinates and C channel means (what is there, not only where)."""
    first, *rest = config.channels
    layers: list[nn.Module] = [nn.Conv2d(3, first, 5, 2, 2, bias=False), nn.GroupNorm(GROUPS, first), nn.SiLU()]
    layers += [Residual(first, first, 1) for _ in range(config.blocks)]
    for n_in, n_out in zip(config.channels, rest, strict=False):
        layers += [Residual(n_in if i == 0 else n_out, n_out, 2 if i == 0 else 1) for i in range(config.blocks)]
    return nn.Sequential(*layers, _KeypointsAndMeans())


class _KeypointsAndMeans(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.where = SpatialSoftmax()

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat((self.where(x), x.float().mean((-2, -1))), dim=-1)


class Encoder(nn.Module):
    """s = enc(observation), [..., E]. Pictures first become a vector each (`look`), then all inputs meet (`fuse`)."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.config = config
        self.cameras = nn.ModuleList(camera_network(config) for _ in range(config.cameras))
        by_number = config.tasks > 0
        self.task = (nn.Embedding if by_number else nn.Linear)(config.tasks or config.text, config.task_width)
        self.sees = config.cameras * 3 * config.channels[-1]  # F
        if config.tells:
            if not (config.cameras and config.tasks):
                raise ValueError(f"encoder.told is {config.told}: it wants cameras, and tasks known by number")
            self.sees, self.tell = config.tells, Tell(config, config.told)
        n_in = config.proprio + config.slots * config.slot_fields + config.task_width + self.sees
        self.net = mlp(n_in, config.width, config.depth, config.features)

    def look(self, images: Tensor | None) -> Tensor:
        """[..., cameras, 3, h, w] uint8 -> [..., F]; may be cached, for `Tell` or as ``Observation.seen``."""
        if images is None or tuple(images.shape[-4:-2]) != (self.config.cameras, 3):
            got = None if images is None else tuple(images.shape)
            raise ValueError(f"observation.images: expected [..., {self.config.cameras}, 3, height, width], got {got}")
        lead = images.shape[:-4]
        pixels = images.flatten(0, len(lead) - 1).to(self.net[0].weight.dtype) / 127.5 - 1.0
        seen = [network(pixels[:, i]) for i, network in enumerate(self.cameras)]
        return torch.cat(seen, dim=-1).unflatten(0, lead)

    def forward(self, observation: Observation, displaced: Tensor | None = None) -> Tensor:
        """Raises ValueError naming an input that is missing or has another size than the configuration says.

        displaced [N] bool: in these the joints are not those in the pictures. Cameras learn nothing from them: they
        would learn to see where the arms were, and the policy to believe that.
        """
        c = self.config
        parts = [self._checked("proprio", observation.proprio, (c.proprio,)), self._task(observation.task)]
        if c.slots:
            slots = self._checked("slots", observation.slots, (c.slots, c.slot_fields))
            parts.append((slots * slots[..., :1]).flatten(-2))  # an empty slot says nothing, whatever it holds
        if c.cameras:
            seen = self._seen(observation, displaced) if observation.seen is None else observation.seen
            parts.append(self._checked("seen", seen, (self.sees,)))
        return self.net(torch.cat(parts, dim=-1))

    def _seen(self, observation: Observation, displaced: Tensor | None) -> Tensor:
        seen = self._looked(observation.images, displaced)
        if not self.config.tells:
            return seen
        return self.tell.told(seen, observation.task, observation.proprio[..., :JOINTS])

    def _looked(self, images: Tensor | None, displaced: Tensor | None) -> Tensor:
        """`look`, but without a gradient from ``displaced``, which spares the way back through the cameras there."""
        if images is None or displaced is None:
            return self.look(images)
        with torch.no_grad():
            known = self.look(images[displaced])
        order = torch.cat((displaced.nonzero(), (~displaced).nonzero())).squeeze(-1).argsort()
        return torch.cat((known, self.look(images[~displaced])))[order]

    def _task(self, task: Tensor) -> Tensor:
        return self.task(task if self.config.tasks else self._checked("task", task, (self.config.text,)))

    @staticmethod
    def _checked(name: str, value: Tensor | None, shape: tuple[int, ...]) -> Tensor:
        got = None if value is None else tuple(value.shape)[-len(shape) :]
        if got != shape:
            raise ValueError(f"observation.{name}: expected [..., {', '.join(map(str, shape))}], got {got}")
        return value
