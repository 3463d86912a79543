"""The reference of scripts/benchmark.sh: the same work in PyTorch, eager mode.

    benchmark_torch.py THREADS

Prints the figures of `child/examples/training_benchmark.rs` (images per second) and
`controller/examples/update_benchmark.rs` (milliseconds), one a line, under the same names.
"""

import statistics
import sys
import time

import torch
from torch import nn
from torch.nn import functional

CHANNELS, CELLS = 16, 5
IMAGES, TIMED_EPOCHS = 384, 3
DECISIONS, CHOICES, OBJECTIVES, EPISODES, HIDDEN, EMBEDDING = 40, 5, 3, 32, 100, 32
TANH_CONSTANT, ENTROPY_WEIGHT, GRADIENT_NORM = 5.0, 0.05, 1.0
TIMED_UPDATES = 31


def relu_conv_bn(inputs, outputs, kernel, stride=1):
    conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False)
    return nn.Sequential(nn.ReLU(), conv, nn.BatchNorm2d(outputs))


class Cell(nn.Module):
    """|nor_conv_3x3~0|+|nor_conv_3x3~0|avg_pool_3x3~1|+|skip_connect~0|nor_conv_3x3~1|skip_connect~2|"""

    def __init__(self, channels):
        super().__init__()
        self.edge01 = relu_conv_bn(channels, channels, 3)
        self.edge02 = relu_conv_bn(channels, channels, 3)
        self.edge12 = nn.AvgPool2d(3, 1, 1, count_include_pad=False)
        self.edge13 = relu_conv_bn(channels, channels, 3)

    def forward(self, x):
        node1 = self.edge01(x)
        node2 = self.edge02(x) + self.edge12(node1)
        return x + self.edge13(node1) + node2


class Residual(nn.Module):
    def __init__(self, inputs, outputs):
        super().__init__()
        self.path = nn.Sequential(relu_conv_bn(inputs, outputs, 3, 2), relu_conv_bn(outputs, outputs, 3))
        self.shortcut = nn.Sequential(nn.AvgPool2d(2, 2), nn.Conv2d(inputs, outputs, 1, bias=False))

    def forward(self, x):
        return self.shortcut(x) + self.path(x)


def network():
    widths = [CHANNELS, 2 * CHANNELS, 4 * CHANNELS]
    layers = [nn.Conv2d(3, CHANNELS, 3, padding=1, bias=False), nn.BatchNorm2d(CHANNELS)]
    for stage, width in enumerate(widths):
        if stage > 0:
            layers.append(Residual(widths[stage - 1], width))
        layers += [Cell(width) for _ in range(CELLS)]
    layers += [nn.BatchNorm2d(widths[-1]), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(widths[-1], 10)]
    return nn.Sequential(*layers)


def training_rate(images, labels, batch_size):
    model = network().train()
    optimiser = torch.optim.SGD(model.parameters(), 0.01, momentum=0.9, weight_decay=5e-4, nesterov=True)
    times = []
    for _ in range(1 + TIMED_EPOCHS):
        start = time.perf_counter()
        for x, y in zip(images.split(batch_size), labels.split(batch_size)):
            optimiser.zero_grad()
            functional.cross_entropy(model(x), y).backward()
            optimiser.step()
        times.append(time.perf_counter() - start)
    return len(images) / statistics.median(times[1:])


@torch.inference_mode()
def evaluation_rate(images, labels):
    model = network().eval()
    times = []
    for _ in range(1 + TIMED_EPOCHS):
        start = time.perf_counter()
        for x, y in zip(images.split(128), labels.split(128)):
            (model(x).argmax(1) == y).sum().item()
        times.append(time.perf_counter() - start)
    return len(images) / statistics.median(times[1:])


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
    torch.set_num_threads(int(sys.argv[1]))
    torch.manual_seed(0)
    assert sum(weights.numel() for weights in network().parameters()) == 802_426, "the benchmark's published number"
    images, labels = torch.randn(IMAGES, 3, 32, 32), torch.randint(10, (IMAGES,))
    for batch_size in [128, 64]:
        print(f"train_batch_{batch_size} {training_rate(images, labels, batch_size):.1f}")
    print(f"evaluate_batch_128 {evaluation_rate(images, labels):.1f}")
    print(f"ms_per_update {update_time_ms():.3f}")


if __name__ == "__main__":
    main()
