import pytest
import torch
from torch import nn

from rethinker.models.patches import embed_patches_by_products


@pytest.mark.parametrize("bias", [False, True])
def test_a_patch_through_a_kernel_of_its_size_is_a_product(bias: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    tower = nn.Sequential(nn.Conv3d(3, 16, kernel_size=(2, 4, 4), stride=(2, 4, 4), bias=bias))
    patches = torch.randn(50, 3, 2, 4, 4, requires_grad=True)
    wanted = tower(patches)
    grown = torch.autograd.grad(wanted.square().sum(), [patches, *tower.parameters()])
    names = list(tower.state_dict())
    embed_patches_by_products(tower)
    monkeypatch.setattr(nn.Conv3d, "forward", None)  # the convolution is not asked
    made = tower(patches)
    assert made.shape == wanted.shape
    assert torch.allclose(made, wanted, atol=1e-5)
    for mine, theirs in zip(
        torch.autograd.grad(made.square().sum(), [patches, *tower.parameters()]), grown, strict=True
    ):
        assert torch.allclose(mine, theirs, atol=1e-3)
    assert list(tower.state_dict()) == names


def test_larger_pictures_and_other_convolutions_stay_convolutions() -> None:
    tower = nn.Sequential(nn.Conv3d(3, 4, kernel_size=2, stride=2))
    padded = nn.Sequential(nn.Conv3d(3, 4, kernel_size=2, padding=1))
    video = torch.randn(2, 3, 4, 4, 4)
    for module in (tower, padded):
        wanted = module(video)
        embed_patches_by_products(module)
        assert torch.equal(module(video), wanted)
