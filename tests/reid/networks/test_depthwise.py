"""Depthwise convolutions with gradients in float32: same answers, gradients beside the slow twin's."""

import copy

import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402

from retrace.reid.networks.depthwise import quicken_depthwise  # noqa: E402

SHAPES = [  # channels, kernel, stride, dilation, bias
    (8, 3, 2, 1, False),
    (8, 5, 1, 1, False),
    (16, 5, 2, 1, True),
    (8, 7, (2, 1), 1, False),
    (8, 3, 2, 2, False),
]


def _trained(network: nn.Module, images: torch.Tensor, kind: torch.dtype) -> list[torch.Tensor]:
    """The answer, and the gradients of a weighted sum of it."""
    images = images.clone().requires_grad_()
    with torch.autocast("cpu", torch.bfloat16, enabled=kind == torch.bfloat16):
        answer = network(images).float()
    weights = torch.linspace(-1, 1, answer.numel()).reshape(answer.shape)
    (answer * weights).sum().backward()
    return [answer.detach(), images.grad, *[p.grad for p in network.parameters()]]


@pytest.mark.parametrize(("channels", "kernel", "stride", "dilation", "bias"), SHAPES)
def test_gradients_beside_those_of_float32(channels, kernel, stride, dilation, bias):
    """Twin: the same convolution in float32 on numbers that bfloat16 holds exactly."""
    torch.manual_seed(0)
    padding = dilation * (kernel // 2)
    slow = nn.Conv2d(channels, channels, kernel, stride, padding, dilation, channels, bias)
    for weight in slow.parameters():
        weight.data = weight.data.bfloat16().float()
    quick = copy.deepcopy(slow)
    assert quicken_depthwise(quick) == 1
    images = torch.randn(3, channels, 9, 7).bfloat16().float()
    exact, found = _trained(slow, images, torch.float32), _trained(quick, images, torch.bfloat16)
    for mine, theirs in zip(found, exact, strict=True):
        assert mine.dtype == torch.float32
        # one rounding to eight bits, of the answer or of what came back through it
        torch.testing.assert_close(mine, theirs, rtol=2**-7, atol=2**-7 * float(theirs.abs().max()))


def test_the_answer_is_that_of_the_plain_convolution_to_the_bit():
    torch.manual_seed(0)
    plain = nn.Sequential(nn.Conv2d(3, 8, 1), nn.Conv2d(8, 8, 3, 2, 1, groups=8, bias=False))
    quick = copy.deepcopy(plain)
    quicken_depthwise(quick)
    images = torch.randn(2, 3, 8, 8)
    assert torch.equal(_trained(plain, images, torch.bfloat16)[0], _trained(quick, images, torch.bfloat16)[0])
    ours, theirs = (_trained(copy.deepcopy(network), images, torch.float32) for network in (quick, plain))
    assert all(map(torch.equal, ours, theirs))  # in float32 nothing is different, gradients included
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(plain(images), quick(images))


def test_only_slow_ones_and_under_their_names():
    network = nn.Sequential(
        nn.Conv2d(8, 8, 3, 1, 1, groups=8),  # 3 x 3 that keeps the map: oneDNN is quick
        nn.Conv2d(8, 8, 3, 2, 1),  # not depthwise
        nn.Conv2d(8, 8, 5, 1, "same", groups=8),  # its padding is worked out elsewhere
        nn.Conv2d(1, 4, 5, 2, 1, groups=1),  # one channel
        nn.Conv2d(8, 8, 5, 2, 2, groups=8),
    )
    before = {name: weight.clone() for name, weight in network.state_dict().items()}
    assert quicken_depthwise(network) == 1
    assert quicken_depthwise(network) == 0  # once
    after = network.state_dict()
    assert list(after) == list(before)
    assert all(torch.equal(after[name], before[name]) for name in before)


def test_a_frozen_weight_and_images_that_need_no_gradient():
    convolution = nn.Conv2d(4, 4, 5, 2, 2, groups=4, bias=False)
    quicken_depthwise(convolution)
    assert type(convolution).__name__ == "_Depthwise"
    with torch.autocast("cpu", torch.bfloat16):
        convolution(torch.randn(1, 4, 8, 8)).float().sum().backward()
        assert convolution.weight.grad is not None
        convolution.weight.requires_grad_(False)
        images = torch.randn(1, 4, 8, 8, requires_grad=True)
        convolution(images).float().sum().backward()
    assert images.grad is not None
    assert images.grad.shape == images.shape
