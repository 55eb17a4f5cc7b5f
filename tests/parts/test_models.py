"""Contract of every model in the catalog, and what is particular to some."""

import copy
import subprocess
import sys

import pytest
import segmentation_models_pytorch
import torch
import torchvision
from shipped import shipped_names
from torch.nn import functional

from harness import registry
from harness.errors import InputError
from harness.models.catalog import Architecture
from harness.models.network import Network, freeze, group_of, keep_still, set_train_mode

torch.set_num_threads(1)
CLASSES = 3
SETTINGS = {"smp": {"encoder": "mobilenet_v2"}, "unet": {"base_channels": 4}}
MODELS = shipped_names("model")
WITH_AUXILIARY = [name for name in MODELS if "aux_weight" in registry.find_part("model", name).own]


def build(name: str, *, in_channels: int = 3, num_classes: int = CLASSES, **settings) -> Network:
    torch.manual_seed(0)
    choice = registry.choose("model", name, {**SETTINGS.get(name, {}), **settings})
    return registry.build("model", choice, num_classes=num_classes, in_channels=in_channels)


def images(batch: int, height: int, width: int, channels: int = 3) -> torch.Tensor:
    return torch.randn(batch, channels, height, width, generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope="module", params=MODELS)
def network(request) -> Network:
    """A model whose BatchNorm has seen images: with its first statistics deep nets fade to nothing in evaluation."""
    network = build(request.param)
    for layer in network.module.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            layer.momentum = None  # plain averages
    network.module.train()(images(2, 32, 40))
    return network


@pytest.mark.parametrize("size", [(32, 32), (33, 47), (65, 34)])
def test_logits_have_the_input_size(network, size):
    network.module.eval()
    with torch.no_grad():
        logits, auxiliary = network.read(network.module(images(1, *size)))
    assert logits.shape == (1, CLASSES, *size)
    assert logits.isfinite().all()
    assert auxiliary == ()


def test_both_groups_have_parameters_and_the_classifier_is_in_the_head(network):
    groups = {name: group_of(network, name) for name, _ in network.module.named_parameters()}
    assert set(groups.values()) == {"backbone", "head"}
    classifier = [name for name in groups if name.startswith(network.classifier)]
    assert classifier
    assert all(groups[name] == "head" for name in classifier)


def test_the_classifier_is_what_depends_on_the_number_of_classes(network, request):
    name = request.node.callspec.params["network"]
    here = {key: value.shape for key, value in network.module.state_dict().items()}
    other = build(name, num_classes=CLASSES + 2).module.state_dict()
    assert here.keys() == other.keys()
    differing = {key for key in here if here[key] != other[key].shape}
    assert differing == {key for key in here if key.startswith(network.classifier)}


def changed_by_one_step(network: Network, which: str) -> tuple[set[str], set[str]]:
    """Return the names in the state dict, and those whose values a step of training changed."""
    network = Network(copy.deepcopy(network.module), network.read, network.backbone, network.classifier)
    freeze(network, which)
    set_train_mode(network, which)
    before = {key: value.clone() for key, value in network.module.state_dict().items()}
    moving = [parameter for parameter in network.module.parameters() if parameter.requires_grad]
    output = network.module(images(2, 24, 32))
    logits = output["out"] if isinstance(output, dict) else output
    labels = torch.randint(CLASSES, (2, 24, 32), generator=torch.Generator().manual_seed(2))
    functional.cross_entropy(logits, labels).backward()
    torch.optim.SGD(moving, lr=1.0).step()
    after = network.module.state_dict()
    return set(before), {key for key in before if not torch.equal(before[key], after[key])}


def test_nothing_frozen_moves_everything(network):
    names, changed = changed_by_one_step(network, "none")
    parameters = {name for name, _ in network.module.named_parameters()}
    assert {name for name in names if "running_mean" in name} <= changed
    assert any(name.startswith(network.backbone) for name in changed & parameters)


def test_a_frozen_backbone_keeps_weights_and_statistics(network):
    names, changed = changed_by_one_step(network, "backbone")
    assert not any(name.startswith(network.backbone) for name in changed)
    assert {name for name in names if "running_mean" in name and not name.startswith(network.backbone)} <= changed
    assert changed


def test_all_but_classifier_moves_the_last_layers_only(network):
    names, changed = changed_by_one_step(network, "all_but_classifier")
    assert changed == {name for name in names if name.startswith(network.classifier)}


def test_frozen_layers_are_in_evaluation_mode_dropout_included():
    network = build("deeplabv3_mobilenet_v3_large")
    set_train_mode(network, "all_but_classifier")
    assert network.module.training
    assert {name for name, layer in network.module.named_modules() if layer.training} == {"", "classifier.4"}
    set_train_mode(network, "none")
    assert all(layer.training for layer in network.module.modules())


def test_unfreezing_gives_all_gradients_back(network):
    freeze(network, "all_but_classifier")
    assert not all(parameter.requires_grad for parameter in network.module.parameters())
    freeze(network, "none")
    assert all(parameter.requires_grad for parameter in network.module.parameters())


@pytest.mark.parametrize("name", [name for name in MODELS if name != "smp"])
def test_a_part_declares_the_images_that_its_network_needs(name):
    """By what it declares a plan is checked, before anything is built; smp's need depends on the architecture."""
    assert registry.find_part("model", name).min_batch == build(name).min_batch


def test_one_image_trains_or_min_batch_is_two(network):
    module = copy.deepcopy(network.module).train()
    if network.min_batch == 1:
        module(images(1, 64, 64))
        return
    assert network.min_batch == 2
    with pytest.raises(ValueError, match="more than 1 value per channel"):
        module(images(1, 64, 64))
    module(images(2, 64, 64))


@pytest.mark.parametrize("name", [name for name in MODELS if name != "deeplabv3_resnet101"])
@pytest.mark.parametrize("in_channels", [1, 4])
def test_other_numbers_of_channels_work_and_are_noted(name, in_channels):
    network = build(name, in_channels=in_channels)
    logits, _ = network.read(network.module.eval()(images(1, 33, 40, in_channels)))
    assert logits.shape == (1, CLASSES, 33, 40)
    noted = any(f"rebuilt for {in_channels} input channels" in note for note in network.notes)
    assert noted == (name != "unet")  # the own U-Net is made for any number


@pytest.mark.parametrize("name", [name for name in WITH_AUXILIARY if name != "deeplabv3_resnet101"])
def test_auxiliary_head_counts_in_training_only(name):
    network = build(name, aux_weight=0.4)
    (weight, logits), *others = network.read(network.module.train()(images(2, 33, 40)))[1]
    assert (weight, logits.shape, others) == (0.4, (2, CLASSES, 33, 40), [])
    assert network.read(network.module.eval()(images(2, 33, 40)))[1] == ()
    assert not any("aux" in key for key in build(name).module.state_dict())


def test_torchvision_models_are_torchvisions_own():
    module = build("deeplabv3_resnet50", aux_weight=0.5, num_classes=21).module
    plain = torchvision.models.get_model("deeplabv3_resnet50", weights=None, weights_backbone=None, aux_loss=True)
    plain.load_state_dict(module.state_dict())
    assert module.state_dict().keys() == plain.state_dict().keys()


@pytest.mark.parametrize("architecture", ["unetplusplus", "deeplabv3plus", "pan", "upernet", "fpn", "linknet"])
def test_smp_takes_any_size_and_keeps_the_plain_state_dict(architecture):
    network = build("smp", architecture=architecture)
    with torch.no_grad():
        logits, _ = network.read(network.module.eval()(images(1, 37, 70)))
    assert logits.shape == (1, CLASSES, 37, 70)
    plain = segmentation_models_pytorch.create_model(
        architecture, "mobilenet_v2", encoder_weights=None, classes=CLASSES
    ).eval()
    plain.load_state_dict(network.module.state_dict())
    with torch.no_grad():
        x = images(1, 128, 160)
        assert torch.equal(plain(x), network.read(network.module(x))[0])


@pytest.mark.parametrize(("architecture", "fewest"), [("deeplabv3", 2), ("upernet", 2), ("fpn", 1)])
def test_smp_knows_which_models_need_two_images(architecture, fewest):
    network = build("smp", architecture=architecture)
    assert network.min_batch == fewest


def test_smp_architectures_are_all_of_the_librarys():
    assert set(Architecture.__args__) == set(segmentation_models_pytorch.MODEL_ARCHITECTURES_MAPPING)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"encoder": "mobilenet_v3"}, r"encoder: smp has no encoder 'mobilenet_v3'; did you mean 'mobilenet_v2'\?"),
        (
            {"encoder": "tu-mobilenetv3_smal_100"},
            r"timm has no model 'mobilenetv3_smal_100'; did you mean tu-mobilenet",
        ),
        ({"encoder": "tu-qqqq"}, r"timm has no model 'qqqq'; timm.list_models\(\) lists"),
        (
            {"architecture": "deeplabv3", "encoder": "vgg11"},
            "deeplabv3 and encoder vgg11 do not go together: .*dilated",
        ),
    ],
)
def test_smp_refuses_what_does_not_exist(settings, message):
    with pytest.raises(InputError, match=message):
        build("smp", **settings)


def test_an_unknown_architecture_is_refused_before_anything_is_built():
    with pytest.raises(InputError, match="architecture: \"Unett\" was given; it must be 'unet'"):
        registry.choose("model", "smp", {"architecture": "Unett"})


@pytest.mark.parametrize("name", MODELS)
def test_weights_settings_are_places_on_disk(name):
    entry = registry.find_part("model", name)
    assert entry.locations == tuple(setting for setting in ("weights", "backbone_weights") if setting in entry.own)
    assert all(registry.choose("model", name, {}).own[setting] == "none" for setting in entry.locations)
    assert registry.choose("model", name, {"weights": "some/file.pth"}).own["weights"] == "some/file.pth"


def test_entering_the_parts_imports_no_torch():
    program = (
        "import sys, harness.parts; print(*{'torch', 'torchvision', 'segmentation_models_pytorch'} & {*sys.modules})"
    )
    out = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert out.split() == []


def test_no_shipped_model_is_built_with_frozen_weights(network):
    """So that its runs have the ids that they have always had: planning does not build it."""
    assert keep_still(network).still == frozenset()
