"""Muon for matrices and convolutions, Adam for the rest. On a CPU, fewer steps are worth a dearer step.

Muon: Keller Jordan et al., https://kellerjordan.github.io/posts/muon/; the update's scale (0.2 sqrt(max side),
so that one learning rate serves both) is from Liu et al., arXiv:2502.16982.
"""

import torch

from team import Team


class Muon(torch.optim.Optimizer):
    """Momentum whose every matrix is replaced by the nearest orthogonal one; a team shares that work."""

    def __init__(self, parameters, lr, momentum=0.95, weight_decay=0.0, team=Team()):
        super().__init__(parameters, dict(lr=lr, momentum=momentum, weight_decay=weight_decay))
        self.team = team

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            parameters = [p for p in group["params"] if p.grad is not None]
            blends = [self.blend(p, group["momentum"]) for p in parameters]
            mine = lambda n: n % self.team.size == self.team.rank
            directions = [orthogonal(b) if mine(n) else torch.zeros_like(b) for n, b in enumerate(blends)]
            self.team.sum_(directions)
            for p, direction in zip(parameters, directions):
                p.mul_(1 - group["lr"] * group["weight_decay"])
                p.add_(direction.view_as(p), alpha=-group["lr"] * 0.2 * max(direction.shape) ** 0.5)

    def blend(self, p, momentum):
        """The gradient and its running mean, as a matrix [out, everything else]."""
        state = self.state[p]
        if "mean" not in state:
            state["mean"] = torch.zeros_like(p)
        state["mean"].lerp_(p.grad, 1 - momentum)
        return p.grad.lerp(state["mean"], momentum).flatten(1)


def orthogonal(m, rounds=5):
    """The polar factor of m [rows, columns], roughly, by a quintic Newton-Schulz iteration."""
    x = m.T if m.shape[0] > m.shape[1] else m
    x = x / (x.norm() + 1e-7)
    for _ in range(rounds):
        a = x @ x.T
        b = torch.addmm(a, a, a, beta=-4.7750, alpha=2.0315)
        x = torch.addmm(x, b, x, beta=3.4445)
    return x.T if m.shape[0] > m.shape[1] else x


class Optimizers:
    """Both optimizers as one: step, zero_grad, rate, state."""

    def __init__(self, modules, rate, weight_decay, team=Team()):
        named = [(name, p) for module in modules for name, p in module.named_parameters()
                 if p.requires_grad]
        matrices = [p for name, p in named if suits_muon(name, p)]
        others = [p for name, p in named if not suits_muon(name, p)]
        self.all = [Muon(matrices, rate, weight_decay=weight_decay, team=team),
                    torch.optim.Adam(others, rate, betas=(0.9, 0.98))]

    def step(self, rate):
        for optimizer in self.all:
            for group in optimizer.param_groups:
                group["lr"] = rate
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)

    def state_dict(self):
        return [optimizer.state_dict() for optimizer in self.all]

    def load_state_dict(self, states):
        for optimizer, state in zip(self.all, states):
            optimizer.load_state_dict(state)


def suits_muon(name, p):
    """Hidden layers only: not the first and last convolution, not embeddings of tokens and places."""
    return p.ndim >= 2 and not any(part in name for part in ("conv_in", "conv_out", "embedding.weight"))
