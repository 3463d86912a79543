"""The reference of scripts/benchmark.sh: the same work in PyTorch, eager mode.

    benchmark_torch.py train DESCRIPTION THREADS [cuda]    images per second of a network, described by
                                                           `training_benchmark describe NAME`; on a GPU channels-last
                                                           with bf16
    benchmark_torch.py update THREADS                      milliseconds of an update of the policy, as
                                                           controller/examples/update_benchmark.rs
"""

import json
import statistics
import sys
import time

import torch
from torch import nn
from torch.nn import functional

TIMED_EPOCHS = 4
DECISIONS, CHOICES, OBJECTIVES, EPISODES, HIDDEN, EMBEDDING = 40, 5, 3, 32, 100, 32
TANH_CONSTANT, ENTROPY_WEIGHT, GRADIENT_NORM = 5.0, 0.05, 1.0
TIMED_UPDATES = 31


class Scale(nn.Module):
    def forward(self, x, gate):
        return x * gate


class Add(nn.Module):
    def forward(self, *inputs):
        return sum(inputs[1:], inputs[0])


class Concat(nn.Module):
    def forward(self, *inputs):
        return torch.cat(inputs, 1)


def module(operation, inputs):
    """The module of one layer, from its operation and the shapes of its inputs."""
    if isinstance(operation, str):
        simple = {"BatchNorm": lambda: nn.BatchNorm2d(inputs[0]["channels"]), "Scale": Scale, "Add": Add}
        simple |= {"Concat": Concat, "GlobalAveragePool": lambda: nn.AdaptiveAvgPool2d(1)}
        return simple[operation]()
    (name, settings), = operation.items()
    if name == "Conv":
        channels, kernel, stride, padding, dilation, groups, bias = (
            settings[key] for key in ["channels", "kernel", "stride", "padding", "dilation", "groups", "bias"]
        )
        return nn.Conv2d(inputs[0]["channels"], channels, kernel, stride, padding, dilation, groups, bias)
    if name == "Activation":
        return {"Relu": nn.ReLU, "Relu6": nn.ReLU6, "Sigmoid": nn.Sigmoid, "HardSigmoid": nn.Hardsigmoid}[settings]()
    if name == "Pool":
        window = settings["kernel"], settings["stride"], settings["padding"]
        return nn.MaxPool2d(*window) if settings["kind"] == "Max" else nn.AvgPool2d(*window, count_include_pad=False)
    if name == "Linear":
        return nn.Sequential(nn.Flatten(), nn.Linear(inputs[0]["channels"], settings["outputs"]))
    raise ValueError(f"unknown operation {operation}")


class Network(nn.Module):
    """The layers of a description, in their order."""

    def __init__(self, layers):
        super().__init__()
        self.inputs = [layer["inputs"] for layer in layers[1:]]
        shapes = [layer["shape"] for layer in layers]
        self.layers = nn.ModuleList(
            module(layer["op"], [shapes[at] for at in layer["inputs"]]) for layer in layers[1:]
        )

    def forward(self, x):
        outputs = [x]
        for inputs, layer in zip(self.inputs, self.layers):
            outputs.append(layer(*(outputs[at] for at in inputs)))
        return outputs[-1]


def rate(description, device):
    """Images per second of the fastest epoch."""
    batch, count, layers = description["batch"], description["images"], description["layers"]["layers"]
    shape = layers[0]["shape"]
    is_cuda = device == "cuda"
    memory_format = torch.channels_last if is_cuda else torch.contiguous_format
    torch.backends.cudnn.benchmark = True
    images = torch.randn(count, shape["channels"], shape["height"], shape["width"]).to(device, memory_format=memory_format)
    labels = torch.randint(layers[-1]["shape"]["channels"], (count,)).to(device)
    model = Network(layers).to(device, memory_format=memory_format)
    epoch = training(model, images, labels, batch) if description["trains"] else evaluation(model, images, labels, batch)
    times = []
    for _ in range(1 + TIMED_EPOCHS):
        start = time.perf_counter()
        with torch.autocast("cuda", torch.bfloat16, enabled=is_cuda):
            epoch()
        if is_cuda:
            torch.cuda.synchronize()
        times.append(time.perf_counter() - start)
    return count / min(times[1:])


def training(model, images, labels, batch):
    model.train()
    optimiser = torch.optim.SGD(model.parameters(), 0.01, momentum=0.9, weight_decay=5e-4, nesterov=True)

    def epoch():
        for x, y in zip(images.split(batch), labels.split(batch)):
            optimiser.zero_grad()
            functional.cross_entropy(model(x), y).backward()
            optimiser.step()

    return epoch


def evaluation(model, images, labels, batch):
    model.eval()

    @torch.inference_mode()
    def epoch():
        for x, y in zip(images.split(batch), labels.split(batch)):
            (model(x).argmax(1) == y).sum().item()

    return epoch


class Policy(nn.Module):
    """The controller: an LSTM over the decisions, a head for each, conditioned on the preference."""

    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(1 + DECISIONS * CHOICES, EMBEDDING)
        self.preference = nn.Linear(OBJECTIVES, EMBEDDING, bias=False)
        self.lstm = nn.LSTM(EMBEDDING, HIDDEN)
        self.heads = nn.Parameter(torch.randn(DECISIONS, HIDDEN, CHOICES) * 0.05)
        self.heads_bias = nn.Parameter(torch.zeros(DECISIONS, 1, CHOICES))

    def forward(self, choices, preferences):
        """Logits `[decisions, episodes, choices]`, every decision fed with the choice taken before it."""
        rows = choices[:-1] + torch.arange(DECISIONS - 1)[:, None] * CHOICES + 1
        rows = torch.cat([torch.zeros(1, EPISODES, dtype=torch.long), rows])
        hidden, _ = self.lstm(self.embedding(rows) + self.preference(preferences))
        logits = torch.baddbmm(self.heads_bias, hidden, self.heads)
        return TANH_CONSTANT * torch.tanh(logits / TANH_CONSTANT)


def update_time_ms():
    policy = Policy()
    optimiser = torch.optim.Adam(policy.parameters(), 0.02)
    times = []
    for _ in range(5 + TIMED_UPDATES):
        choices = torch.randint(CHOICES, (DECISIONS, EPISODES))
        preferences = torch.distributions.Dirichlet(torch.ones(OBJECTIVES)).sample((EPISODES,))
        start = time.perf_counter()
        rewards = choices[0].float()
        advantages = rewards - (rewards.sum() - rewards) / (EPISODES - 1)
        advantages = (advantages - advantages.mean()) / advantages.std()
        log_probabilities = torch.log_softmax(policy(choices, preferences), -1)
        taken = log_probabilities.gather(-1, choices[..., None]).squeeze(-1).sum(0)
        entropy = -(log_probabilities.exp() * log_probabilities).sum((0, -1)).mean()
        loss = -(advantages * taken).mean() - ENTROPY_WEIGHT * entropy
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(policy.parameters(), GRADIENT_NORM)
        optimiser.step()
        times.append((time.perf_counter() - start) * 1e3)
    return statistics.median(times[5:])


def main():
    torch.manual_seed(0)
    match sys.argv[1:]:
        case ["train", path, threads, *device]:
            torch.set_num_threads(int(threads))
            with open(path, encoding="utf-8") as file:
                print(f"{rate(json.load(file), *(device or ['cpu'])):.1f}")
        case ["update", threads]:
            torch.set_num_threads(int(threads))
            print(f"{update_time_ms():.3f}")
        case _:
            sys.exit(__doc__)


if __name__ == "__main__":
    main()
