"""Groups within one batch are what several processes compute, exactly: in float64, without any process."""

from copy import deepcopy

import torch
import torch.nn.functional as F

from reslab.models import create_model


def test_groups_give_the_mean_gradients_and_statistics_of_separate_replicas() -> None:
    torch.manual_seed(0)
    grouped = create_model("cifar_resnet8", bn_group_size=8).double().train()
    replicas = [deepcopy(grouped) for _ in range(2)]
    images, labels = torch.randn(16, 3, 16, 16).double(), torch.randint(0, 10, (16,))
    F.cross_entropy(grouped(images), labels).backward()
    for replica, part, truth in zip(replicas, images.chunk(2), labels.chunk(2), strict=True):
        F.cross_entropy(replica(part), truth).backward()
    for ours, *theirs in zip(grouped.parameters(), *(replica.parameters() for replica in replicas), strict=True):
        mean = torch.stack([parameter.grad for parameter in theirs]).mean(0)  # type: ignore[misc]
        torch.testing.assert_close(ours.grad, mean, rtol=1e-9, atol=1e-12)
    for ours, *theirs in zip(grouped.buffers(), *(replica.buffers() for replica in replicas), strict=True):
        torch.testing.assert_close(ours.double(), torch.stack(theirs).double().mean(0), rtol=1e-12, atol=1e-12)
