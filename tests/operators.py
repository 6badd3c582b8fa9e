"""Operators that stand between convolutions in people's networks, each as a network of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import nn
from torch.nn import functional

CHANNELS, SIDE = 16, 12
"""Of the activations that the operators get, (N, 16, 12, 12)."""

Operator = Callable[[torch.Tensor], torch.Tensor | list[torch.Tensor]]

ACTIVATIONS: dict[str, Operator] = {
    "relu": functional.relu,
    "relu in place": lambda x: functional.relu(x * 1.5, inplace=True),
    "relu6": functional.relu6,
    "elu": lambda x: functional.elu(x, 0.7),
    "celu": lambda x: functional.celu(x, 2.0),
    "selu": functional.selu,
    "mish": functional.mish,
    "silu": functional.silu,
    "gelu": functional.gelu,
    "gelu by tanh": lambda x: functional.gelu(x, approximate="tanh"),
    "softplus": functional.softplus,
    "softplus with a threshold": lambda x: functional.softplus(x, 3, 1),
    "hardtanh": lambda x: functional.hardtanh(x, -0.4, 0.3),
    "hardsigmoid": functional.hardsigmoid,
    "hardswish": functional.hardswish,
    "leaky relu": lambda x: functional.leaky_relu(x, 0.3),
    "rrelu": lambda x: functional.rrelu(x, 0.2, 0.4),
    "hardshrink": lambda x: functional.hardshrink(x, 0.2),
    "softshrink": lambda x: functional.softshrink(x, 0.2),
    "tanhshrink": functional.tanhshrink,
    "softsign": functional.softsign,
    "logsigmoid": functional.logsigmoid,
    "threshold": lambda x: functional.threshold(x, 0.1, 0.5),
    "glu": lambda x: functional.glu(x, 1),
    "sigmoid": torch.sigmoid,
    "softmax over channels": lambda x: x.softmax(1),
    "softmax over the plane": lambda x: x.flatten(2).softmax(2),
    "softmax of everything": lambda x: x.flatten(1).softmax(1),
    "softmin": lambda x: functional.softmin(x, 3),
    "log_softmax": lambda x: x.log_softmax(1),
    "logsumexp": lambda x: x.logsumexp(1),
}

ARITHMETIC: dict[str, Operator] = {
    "add with a factor": lambda x: torch.add(x, x * x, alpha=0.3),
    "sub with a factor": lambda x: torch.sub(x, x * x, alpha=0.3),
    "sub of a number with a factor": lambda x: torch.sub(x, 2, alpha=0.3),
    "rsub with a factor": lambda x: torch.rsub(x, 2.0, alpha=0.3),
    "number minus": lambda x: 1 - x,
    "whole number times": lambda x: 3 * x + 2,
    "division": lambda x: x / (x.abs() + 1),
    "number divided": lambda x: 2 / (x.abs() + 1),
    "division rounded down": lambda x: torch.div(x, 0.3, rounding_mode="floor"),
    "division by a whole number, rounded down": lambda x: torch.div(x, 2, rounding_mode="floor"),
    "division rounded to zero": lambda x: torch.div(x, x * 0 + 0.3, rounding_mode="trunc"),
    "division of whole numbers": lambda x: (10 * x).long() // 3,
    "//": lambda x: x // 0.5,
    "%": lambda x: x % 0.5 + x % -0.3,
    "% of tensors": lambda x: x % (x.abs() + 0.1),
    "fmod": lambda x: x.fmod(0.3),
    "addcmul": lambda x: torch.addcmul(x, x, x, value=0.3),
    "addcdiv": lambda x: torch.addcdiv(x, x, x.abs() + 1, value=0.3),
    "lerp": lambda x: torch.lerp(x, 2 * x, 0.3),
    "square": lambda x: x**2 + x.square(),
    "cube": lambda x: x**3,
    "power 1.5": lambda x: x.abs() ** 1.5,
    "power of a number": lambda x: 2**x,
    "power of tensors": lambda x: x.abs() ** x,
    "sqrt": lambda x: x.abs().sqrt() + (x.abs() + 0.1).rsqrt() + (x.abs() + 1).reciprocal(),
    "exp and expm1": lambda x: x.exp() + x.expm1(),
    "logarithms": lambda x: (x.abs() + 0.1).log() + x.abs().log1p() + (x.abs() + 1).log2(),
    "log10": lambda x: (x.abs() + 1).log10(),
    "erf": torch.erf,
    "trigonometry": lambda x: x.sin() * x.cos() + x.tan(),
    "arcs": lambda x: x.tanh().asin() + x.tanh().acos() + x.atan(),
    "hyperbolic": lambda x: x.sinh() + x.cosh() + x.tanh(),
    "atan2": lambda x: torch.atan2(x, x + 1),
    "round to even": lambda x: (torch.floor(4 * x) / 2).round(),
    "round to decimals": lambda x: x.round(decimals=1),
    "floor and ceil": lambda x: (4 * x).floor() + (3 * x).ceil(),
    "trunc and frac": lambda x: (4 * x).trunc() + x.frac(),
    "sign": lambda x: x.sign() + (x * 0).sign(),
    "neg and abs": lambda x: -x + x.abs(),
    "maximum": lambda x: torch.maximum(x, 0.5 * x) - torch.minimum(x, x * x),
    "clamp": lambda x: x.clamp(-0.2, 0.4) + x.clamp(min=0.1) + x.clamp(max=-0.1),
    "clamp by tensors": lambda x: x.clamp(x.mean(1, keepdim=True) - 0.1, x.mean(1, keepdim=True) + 0.1),
    "comparisons": lambda x: (
        x * (x > 0).float() + (x >= 0.1).float() - (x < 0.2).float() * (x <= 0.3).float()
    ),
    "comparisons of tensors": lambda x: (x > x * x).float() + (x < -x).float() + (x >= -x) * 2 + (x <= x * x),
    "equality": lambda x: (x.round() == 0).float() + (x.round() != 1).float() + (x == x.abs()) * 2,
    "logic": lambda x: x * ((x > 0) & (x < 1) | ~(x > -1)) + ((x > 0) ^ (x < 0.5)),
    "logic of numbers": lambda x: torch.logical_and(x > 0, x.round()) | torch.logical_not(x.round()),
    "logical or": lambda x: torch.logical_or(x > 0.5, x < -0.5).float() + torch.logical_xor(x > 0, x < 0.5),
    "isnan and isinf": lambda x: torch.where(x.isnan() | x.isinf(), 0.0, x),
    "nan_to_num": lambda x: (1 / (x.relu() - 0.1 + 0.1)).nan_to_num(0.5, 2.0),
    "where": lambda x: torch.where(x > 0, x, 2 * x),
    "where with a number": lambda x: torch.where(x > 0, x, 0.1),
    "masked_fill": lambda x: x.masked_fill(x < 0, 0.3),
    "float16 and back": lambda x: x.half().float(),
    "float16 arithmetic": lambda x: (x.half() * 2 + 1).float(),
    "int and back": lambda x: (10 * x).int().float() / 10,
    "long arithmetic": lambda x: ((10 * x).long() * 3 + 2 - (5 * x).long()).float(),
    "bool and back": lambda x: (10 * x).int().bool().float() + x.bool(),
    "mixed types": lambda x: (10 * x).long() + x,
    "mean subtracted": lambda x: x - x.mean(),
    "arithmetic of whole numbers": lambda x: _of_whole_numbers((10 * x).long()),
    "comparisons of whole numbers": lambda x: _compared((10 * x).long()),
    "whole numbers moved about": lambda x: _moved((10 * x).long()),
    "truths moved about": lambda x: _moved(x > 0.1),
}

REDUCTIONS: dict[str, Operator] = {
    "sums": lambda x: x.sum((2, 3)),
    "sum of all": lambda x: x / x.abs().sum(),
    "sum of truths": lambda x: (x > 0).sum(1) / 16,
    "means": lambda x: x.mean(1) + x.mean((1, 3)).unsqueeze(1),
    "amax": lambda x: x.amax(1, keepdim=True) * x.amin((2, 3), keepdim=True),
    "largest of all": lambda x: x / x.max() + x.min() + x.amax(),
    "max along a dimension": lambda x: x.max(1, keepdim=True)[0] - x.min(2, keepdim=True)[0],
    "max with its index": lambda x: x.max(1)[1] + x.min(1)[1],
    "argmax": lambda x: x * x.argmax(1, keepdim=True) + x.argmin(2, keepdim=True),
    "argmax of everything": lambda x: x + x.argmax(),
    "product": lambda x: x.prod(1),
    "variance": lambda x: x.var(1, keepdim=True) + x.var((2, 3), unbiased=False, keepdim=True),
    "deviation": lambda x: x.std((2, 3)),
    "deviation and mean": lambda x: torch.cat(torch.std_mean(x, 1), 1),
    "norm": lambda x: x / x.norm(dim=1, keepdim=True),
    "norm of order 1": lambda x: x.norm(1, dim=1),
    "norm of the largest": lambda x: torch.linalg.vector_norm(x, float("inf"), dim=1),
    "normalize": lambda x: functional.normalize(x, dim=1),
    "cosine similarity": lambda x: functional.cosine_similarity(x, x.flip(3), dim=1),
    "any and all": lambda x: (
        (x > 0.5).any(1).float()
        + (x > -0.5).all(1).float()
        + (x > 9).any()
        + (x > 0.9).any((2, 3)).float().mean()
    ),
    "cumsum": lambda x: x.cumsum(3) + x.cumsum(1),
}

NORMALIZATIONS: dict[str, Operator] = {
    "group norm without weights": lambda x: functional.group_norm(x, 4),
    "instance norm": functional.instance_norm,
    "layer norm of a large mean": lambda x: functional.layer_norm(x + 300, x.shape[1:]),
    "group norm of a large mean": lambda x: functional.group_norm(x + 300, 2),
    "local response norm": lambda x: functional.local_response_norm(x, 3),
}

POOLING: dict[str, Operator] = {
    "max pooling": lambda x: functional.max_pool2d(x, 3, 2, 1),
    "max pooling of uneven windows": lambda x: functional.max_pool2d(x, (3, 2), (2, 1), (1, 0)),
    "max pooling, dilated": lambda x: functional.max_pool2d(x, 3, 2, 1, dilation=2),
    "max pooling with a rounded up size": lambda x: functional.max_pool2d(x, 3, 2, ceil_mode=True),
    "average pooling": lambda x: functional.avg_pool2d(x, 2),
    "average pooling with a border": lambda x: functional.avg_pool2d(x, 3, 2, 1),
    "average pooling without its border": lambda x: functional.avg_pool2d(
        x, 3, 2, 1, count_include_pad=False
    ),
    "average pooling of uneven windows": lambda x: functional.avg_pool2d(x, (3, 2), (1, 2), (1, 0)),
    "average pooling with a divisor": lambda x: functional.avg_pool2d(x, 3, 2, 1, divisor_override=5),
    "average pooling with a rounded up size": lambda x: functional.avg_pool2d(x, 3, 2, ceil_mode=True),
    "average pooling, border and rounded up": lambda x: functional.avg_pool2d(x, 5, 3, 2, ceil_mode=True),
    "average pooling, rounded up, no border": lambda x: functional.avg_pool2d(
        x, 5, 3, 2, ceil_mode=True, count_include_pad=False
    ),
    "average pooling, rounded up, divisor": lambda x: functional.avg_pool2d(
        x, (5, 3), 4, 1, ceil_mode=True, divisor_override=7
    ),
    "power-average pooling": lambda x: functional.lp_pool2d(x, 2, 2),
    "adaptive average pooling to 1": lambda x: functional.adaptive_avg_pool2d(x, 1),
    "adaptive average pooling to 4": lambda x: functional.adaptive_avg_pool2d(x, 4),
    "adaptive average pooling to 5 x 7": lambda x: functional.adaptive_avg_pool2d(x, (5, 7)),
    "adaptive average pooling of columns": lambda x: functional.adaptive_avg_pool2d(x, (1, None)),
    "adaptive average pooling after relu": lambda x: functional.adaptive_avg_pool2d(x.relu() + 1, 7),
    "adaptive average pooling upwards": lambda x: functional.adaptive_avg_pool2d(x, 15),
    "adaptive max pooling to 1": lambda x: functional.adaptive_max_pool2d(x, 1),
    "adaptive max pooling to 5 x 7": lambda x: functional.adaptive_max_pool2d(x, (5, 7)),
    "max pooling of rows": lambda x: functional.max_pool1d(x.mean(3), 3, 2, 1),
    "average pooling of rows": lambda x: functional.avg_pool1d(x.mean(3), 3, 2, 1),
    "adaptive pooling of rows": lambda x: (
        functional.adaptive_avg_pool1d(x.mean(3), 5) + functional.adaptive_max_pool1d(x.mean(3), 5)
    ),
}

INTERPOLATION: dict[str, Operator] = {
    "nearest, twice": lambda x: functional.interpolate(x, scale_factor=2),
    "nearest to 11": lambda x: functional.interpolate(x, 11),
    "nearest by 0.7": lambda x: functional.interpolate(x, scale_factor=0.7),
    "nearest of rows": lambda x: functional.interpolate(x.mean(3), scale_factor=2),
    "nearest-exact to 5 x 17": lambda x: functional.interpolate(x, (5, 17), mode="nearest-exact"),
    "nearest-exact of rows": lambda x: functional.interpolate(x.mean(3), 17, mode="nearest-exact"),
    "bilinear, twice": lambda x: functional.interpolate(x, scale_factor=2, mode="bilinear"),
    "bilinear by 1.3": lambda x: functional.interpolate(x, scale_factor=1.3, mode="bilinear"),
    "bilinear to 7": lambda x: functional.interpolate(x, 7, mode="bilinear"),
    "bilinear with corners aligned": lambda x: functional.interpolate(
        x, scale_factor=2, mode="bilinear", align_corners=True
    ),
    "linear of rows": lambda x: functional.interpolate(x.mean(3), 7, mode="linear"),
    "bicubic": lambda x: functional.interpolate(x, scale_factor=2, mode="bicubic"),
    "bicubic with corners aligned": lambda x: functional.interpolate(
        x, (7, 9), mode="bicubic", align_corners=True
    ),
    "bilinear, smoothed": lambda x: functional.interpolate(x, (5, 7), mode="bilinear", antialias=True),
    "bicubic, smoothed": lambda x: functional.interpolate(x, 7, mode="bicubic", antialias=True),
    "area": lambda x: functional.interpolate(x, 8, mode="area"),
    "grid_sample": lambda x: functional.grid_sample(x, _grid(x, False), align_corners=False),
    "grid_sample where the image tells": lambda x: functional.grid_sample(
        x, _grid(x, False) + 0.1 * x.mean((1, 2, 3)).view(-1, 1, 1, 1), align_corners=False
    ),
    "grid_sample with corners aligned": lambda x: functional.grid_sample(
        x, _grid(x, True), align_corners=True
    ),
    "grid_sample of the nearest": lambda x: functional.grid_sample(
        x, _grid(x, False), mode="nearest", padding_mode="border", align_corners=False
    ),
    "grid_sample, reflected": lambda x: functional.grid_sample(
        x, 1.5 * _grid(x, False), padding_mode="reflection", align_corners=False
    ),
}

SHAPES: dict[str, Operator] = {
    "reflected border": lambda x: functional.pad(x, (1, 2, 3, 1), "reflect"),
    "replicated border": lambda x: functional.pad(x, (1, 2, 3, 1), "replicate"),
    "circular border": lambda x: functional.pad(x, (1, 2, 3, 1), "circular"),
    "border of a number": lambda x: functional.pad(x, (1, 2, 3, 1), value=0.7),
    "negative border": lambda x: functional.pad(x, (-1, 2, -3, 1)),
    "border of channels": lambda x: functional.pad(x, (0, 0, 0, 0, 4, 4)),
    "concatenation": lambda x: torch.cat([x, x.relu(), x + 1], 1),
    "concatenation along the last": lambda x: torch.cat([x, x[..., :3]], -1),
    "stack": lambda x: torch.stack([x, x * x], 2),
    "roll": lambda x: x.roll((2, -3), (2, 3)),
    "roll of everything": lambda x: x.roll(5),
    "flip": lambda x: x.flip(3) + x.flip((1, 2)),
    "rot90": lambda x: x.rot90(1, (2, 3)),
    "slices": lambda x: x[:, -5:-1, ::2, 1::2],
    "negative index": lambda x: x[:, -1] + x[:, :, -2].mean(1, keepdim=True),
    "narrow": lambda x: x.narrow(1, 3, 4),
    "list of channels": lambda x: x[:, [3, -1, 2, 0]],
    "lists of pixels": lambda x: x[:, :, [3, -1, 2], [0, 5, -2]],
    "lists apart": lambda x: x[:, [1, 2], :, [0, 5]],
    "grid of pixels": lambda x: x[:, :, torch.tensor([[1], [4]]), torch.tensor([[0, -1, 3]])],
    "channel that is looked up": lambda x: x[:, x.mean((0, 2, 3)).argmax().reshape(1) - 3],
    "index_select": lambda x: x.index_select(1, torch.tensor([3, 1, 2])),
    "gather": lambda x: x.gather(1, x.argmax(1, keepdim=True)),
    "chunk": lambda x: torch.cat(x.chunk(2, 1)[::-1], 1),
    "split of unequal parts": lambda x: torch.cat(x.split([3, 5, 8], 1)[::-1], 1),
    "split with a rest": lambda x: torch.cat(x.split(5, -1)[::-1], 3),
    "unbind": lambda x: sum(x.unbind(1)[:3]),
    "repeat_interleave": lambda x: x.repeat_interleave(2, 2),
    "repeat": lambda x: x.repeat(1, 2, 1, 3),
    "tile": lambda x: x.tile(2, 1),
    "expand": lambda x: x.mean((2, 3), keepdim=True).expand(-1, -1, 3, 4),
    "triangles": lambda x: x.tril() - x.triu(2),
    "permute": lambda x: x.permute(0, -1, 1, 2),
    "transpose": lambda x: x.transpose(1, -1),
    "squeeze": lambda x: x[:, :1].squeeze() + x.mean(1, keepdim=True).squeeze(1),
    "unflatten": lambda x: x.unflatten(1, (4, 4)).flatten(2, 3),
    "pixel shuffle": lambda x: functional.pixel_shuffle(x, 2),
    "pixel unshuffle": lambda x: functional.pixel_unshuffle(x, 2),
    "channel shuffle": lambda x: functional.channel_shuffle(x, 4),
    "unfold": lambda x: functional.unfold(x, 3, padding=1, stride=2),
    "windows": lambda x: x.unfold(2, 4, 4).unfold(3, 4, 4),
    "linspace": lambda x: x + torch.linspace(0, 1, SIDE),
    "arange": lambda x: x * torch.arange(float(SIDE)),
    "meshgrid": lambda x: x + sum(torch.meshgrid(torch.arange(SIDE), torch.arange(SIDE), indexing="ij")),
    "full": lambda x: x + torch.full((1, CHANNELS, 1, 1), 0.3) + torch.ones(SIDE) + torch.zeros_like(x),
    "written slice": lambda x: _written(x),
    "clone": lambda x: x.clone().contiguous().detach() * 2,
    "matmul": lambda x: x @ x.transpose(2, 3),
    "product of three": lambda x: x.mean(1) @ x[0, 0] @ x[0, 1, :, 0],
    "baddbmm": lambda x: torch.baddbmm(x[0], x[0], x[0], beta=0.5, alpha=0.3),
    "addmm": lambda x: torch.addmm(x[0, 0], x[0, 1], x[0, 2], beta=0.5, alpha=0.3),
    "einsum": lambda x: torch.einsum("bchw,bdhw->bcd", x, x),
    "einsum of an outer product": lambda x: torch.einsum("bch,bcw->bchw", x.mean(3), x.mean(2)),
    "attention": lambda x: functional.scaled_dot_product_attention(*[_tokens(x)] * 3),
    "causal attention": lambda x: functional.scaled_dot_product_attention(*[_tokens(x)] * 3, is_causal=True),
    "masked attention": lambda x: functional.scaled_dot_product_attention(
        *[_tokens(x)] * 3, attn_mask=torch.eye(SIDE * SIDE).bool()
    ),
    "linear by computed weights": lambda x: functional.linear(x, x.mean((0, 1))),
}


def _grid(x: torch.Tensor, align_corners: bool) -> torch.Tensor:
    turned = torch.tensor([[[0.83, 0.51, 0.137], [-0.47, 0.91, 0.219]]]).expand(len(x), 2, 3)
    return functional.affine_grid(turned, [len(x), CHANNELS, SIDE, SIDE], align_corners=align_corners)


def _tokens(x: torch.Tensor) -> torch.Tensor:
    return x.flatten(2).transpose(1, 2).unsqueeze(1)


def _written(x: torch.Tensor) -> torch.Tensor:
    y = x.clone()
    y[:, 2:4] = 0.5
    y[:, :, 3] = x[:, :, 2]
    y[..., 1:] += x[..., :-1]
    return y


def _of_whole_numbers(y: torch.Tensor) -> list[torch.Tensor]:
    parts = [
        y.abs(),
        -y,
        y.clamp(-3, 4),
        torch.maximum(y, y * 2),
        torch.minimum(y, -y),
        y % 3,
        y // 4,
        y.sign(),
    ]
    sums = [y.sign(), y.amax(1), y.amin(1), y.max(), y.min(), y.sum(1), y / 7, y & 3, y | 4, y ^ 5]
    return parts + sums


def _compared(y: torch.Tensor) -> list[torch.Tensor]:
    numbers = [y == 3, y != 3, y > 2, y >= 2, y < 2, y <= 2]
    tensors = [y == y * y, y != -y, y > -y, y >= -y, y < -y, y <= -y]
    choices = [torch.where(y > 0, y, 2 * y), torch.logical_and(y, y - 1), torch.logical_or(y, y - 1)]
    return numbers + tensors + choices


def _moved(y: torch.Tensor) -> list[torch.Tensor]:
    parts = [y.flip(3), y[:, 2:5, ::2], y[:, 1], y.transpose(1, 2), y.split([3, 5, 8], 1)[1]]
    parts += [y.repeat(1, 1, 2, 1), y.unsqueeze(1), y[:, :, :1].expand(-1, -1, 3, -1), y.squeeze()]
    parts += [y.roll(1, 2), y[:, [2, 0]], y.clone(), torch.where(y > 0, y, y.flip(1))]
    parts += [y.gather(1, y[:, :2].long().clamp(0, 15)), y.index_select(1, ORDER)]
    return [*parts, torch.cat([y, y], 1), y.flatten(1)]


ORDER = torch.tensor([3, 1, 2])


class OverPixels(nn.Module):
    """A layer over the channels of each pixel: (N, H, W, C)."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.layer(x.permute(0, 2, 3, 1))
        return result


class OverTokens(nn.Module):
    """A layer over the pixels as tokens: (N, H * W, C)."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.layer(x.flatten(2).transpose(1, 2))
        return result


class OverRows(nn.Module):
    """A layer over the mean of the rows: (N, C, W)."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.layer(x.mean(2))
        return result


class Recurrent(nn.Module):
    """A recurrent layer over the mean of two rows: (N, 2, C)."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.layer(x.mean(2).transpose(1, 2)[:, :2])[0]
        return result


class SelfAttention(nn.Module):
    """Attention of tokens to themselves."""

    def __init__(self, need_weights: bool) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(CHANNELS, 4, batch_first=True)
        self.need_weights = need_weights

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        attended, weights = self.attention(tokens, tokens, tokens, need_weights=self.need_weights)
        return attended if weights is None else torch.cat([attended.flatten(1), weights.flatten(1)], 1)


class Positions(nn.Module):
    """Learned positions that are added."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(SIDE, CHANNELS)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.embedding(torch.arange(SIDE)).t()[None, :, :, None]


class Looked(nn.Module):
    """Embeddings of the brightest channel."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(CHANNELS, 8)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.embedding(x.argmax(1))
        return result


LAYERS: dict[str, Callable[[], nn.Module]] = {
    "PReLU": lambda: nn.PReLU(CHANNELS),
    "PReLU of one slope": nn.PReLU,
    "GroupNorm": lambda: nn.GroupNorm(4, CHANNELS),
    "GroupNorm over everything": lambda: nn.GroupNorm(1, CHANNELS),
    "InstanceNorm2d with statistics": lambda: nn.InstanceNorm2d(
        CHANNELS, affine=True, track_running_stats=True
    ),
    "InstanceNorm2d with weights": lambda: nn.InstanceNorm2d(CHANNELS, affine=True),
    "LayerNorm over an image": lambda: nn.LayerNorm([CHANNELS, SIDE, SIDE]),
    "LayerNorm over channels": lambda: OverPixels(nn.LayerNorm(CHANNELS)),
    "LayerNorm without a bias": lambda: OverPixels(nn.LayerNorm(CHANNELS, bias=False)),
    "RMSNorm": lambda: OverPixels(nn.RMSNorm(CHANNELS)),
    "BatchNorm2d by itself": lambda: nn.Sequential(nn.ReLU(), nn.BatchNorm2d(CHANNELS, eps=0.1)),
    "BatchNorm1d": lambda: OverRows(nn.BatchNorm1d(CHANNELS)),
    "Dropout2d": lambda: nn.Dropout2d(0.3),
    "AlphaDropout": nn.AlphaDropout,
    "Upsample": lambda: nn.Upsample(scale_factor=(2, 1.5)),
    "ZeroPad2d": lambda: nn.ZeroPad2d(2),
    "Conv2d with a circular border": lambda: nn.Conv2d(CHANNELS, 8, 3, padding=1, padding_mode="circular"),
    "Conv2d with padding same": lambda: nn.Conv2d(CHANNELS, 8, 4, padding="same"),
    "Conv2d, dilated and grouped": lambda: nn.Conv2d(CHANNELS, 8, 3, padding=2, dilation=2, groups=4),
    "Conv1d": lambda: OverRows(nn.Sequential(nn.Conv1d(CHANNELS, 8, 3, 2, 1), nn.ReLU())),
    "Conv1d, dilated and grouped": lambda: OverRows(
        nn.Conv1d(CHANNELS, 8, 3, padding=2, dilation=2, groups=4, bias=False)
    ),
    "ConvTranspose2d": lambda: nn.ConvTranspose2d(CHANNELS, 8, 2, 2),
    "ConvTranspose2d with all arguments": lambda: nn.ConvTranspose2d(
        CHANNELS, 8, (3, 4), (2, 3), (1, 2), (1, 2), groups=4, dilation=(2, 1)
    ),
    "ConvTranspose2d of each channel": lambda: nn.ConvTranspose2d(
        CHANNELS, CHANNELS, 4, 2, 1, groups=CHANNELS, bias=False
    ),
    "ConvTranspose1d": lambda: OverRows(nn.ConvTranspose1d(CHANNELS, 8, 3, 2, 1, 1, groups=2)),
    "Linear over columns": lambda: nn.Linear(SIDE, 5),
    "Linear over pixels": lambda: OverPixels(nn.Linear(CHANNELS, 8, bias=False)),
    "Linear over tokens": lambda: OverTokens(
        nn.Sequential(nn.Linear(CHANNELS, 8), nn.GELU(), nn.Linear(8, 5))
    ),
    "Linear on a vector": lambda: nn.Sequential(nn.Flatten(0), nn.Linear(CHANNELS * SIDE * SIDE, 7)),
    "LSTM of two layers, both ways": lambda: Recurrent(
        nn.LSTM(CHANNELS, 4, num_layers=2, bidirectional=True, batch_first=True)
    ),
    "GRU": lambda: Recurrent(nn.GRU(CHANNELS, 8, batch_first=True)),
    "RNN": lambda: Recurrent(nn.RNN(CHANNELS, 8, batch_first=True)),
    "MultiheadAttention": lambda: OverTokens(SelfAttention(need_weights=False)),
    "MultiheadAttention with its weights": lambda: OverTokens(SelfAttention(need_weights=True)),
    "TransformerEncoderLayer": lambda: OverTokens(
        nn.TransformerEncoderLayer(CHANNELS, 4, 32, batch_first=True)
    ),
    "Embedding of positions": Positions,
    "Embedding of what is found": Looked,
    "ChannelShuffle": lambda: nn.ChannelShuffle(4),
}


class Function(nn.Module):
    """An operator as a layer."""

    def __init__(self, operator: Operator) -> None:
        super().__init__()
        self.operator = operator

    def forward(self, x: torch.Tensor) -> torch.Tensor | list[torch.Tensor]:
        return self.operator(x)


FUNCTIONS = {
    **ACTIVATIONS,
    **ARITHMETIC,
    **REDUCTIONS,
    **NORMALIZATIONS,
    **POOLING,
    **INTERPOLATION,
    **SHAPES,
}


def layer(name: str) -> nn.Module:
    """The operator of that name, with random weights and statistics where it has some."""
    torch.manual_seed(0)
    made = Function(FUNCTIONS[name]) if name in FUNCTIONS else LAYERS[name]()
    with torch.no_grad():
        for tensor in made.state_dict().values():
            if tensor.dim() == 1:
                tensor.uniform_(0.2, 0.9)
    return made


class Several(nn.Module):
    """A convolution, and operators on what it computes."""

    def __init__(self, names: Iterable[str]) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.stem = nn.Conv2d(3, CHANNELS, 3, padding=1)
        self.names = list(names)
        self.operators = nn.ModuleList(layer(name) for name in self.names)

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return tuple(result for _, result in self.results(images))

    def results(self, images: torch.Tensor) -> list[tuple[str, torch.Tensor]]:
        """What the operators give, each with the operator's name."""
        x = self.stem(images)
        found: list[tuple[str, torch.Tensor]] = []
        for name, operator in zip(self.names, self.operators, strict=True):
            given = operator(x)
            found += [(name, result) for result in (given if isinstance(given, list) else [given])]
        return found
