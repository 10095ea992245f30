"""The loss surface: filter-normalised directions, the centre's own loss, weights left as they were."""

import torch
import torch.nn.functional as F

from reslab import create_model
from reslab.experiments.claims.landscape import loss_surface, random_direction


def test_every_filter_of_a_direction_has_the_norm_of_the_models() -> None:
    model = create_model("cifar_resnet8", num_classes=4)
    direction = random_direction(model, torch.Generator().manual_seed(0))
    for name, parameter in model.named_parameters():
        if parameter.dim() < 2:
            assert not direction[name].any()
        else:
            torch.testing.assert_close(direction[name].flatten(1).norm(dim=1), parameter.flatten(1).norm(dim=1))


def test_the_centre_is_the_models_loss_and_the_weights_stay() -> None:
    torch.manual_seed(0)
    model = create_model("cifar_plain8", num_classes=4).eval()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    images, labels = torch.randn(8, 3, 16, 16), torch.randint(0, 4, (8,))
    surface = loss_surface(model, images, labels, side=3)
    expected = F.cross_entropy(model(images), labels).item()
    assert abs(surface[1][1] - expected) < 1e-3 * expected
    assert len({loss for row in surface for loss in row}) == 9
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())


def test_a_loss_without_a_finite_value_is_written_as_a_large_one() -> None:
    model = create_model("cifar_plain8", num_classes=4).eval()
    with torch.no_grad():
        model.get_parameter("fc.weight").fill_(float("inf"))  # inf - inf in the softmax
    surface = loss_surface(model, torch.randn(2, 3, 16, 16), torch.tensor([0, 1]), side=1)
    assert surface == ((1e6,),)
