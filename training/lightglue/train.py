"""The training: the loss, the learning rate, and continuing after a stop."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from checkpoints import restore, save_checkpoint
from kornia.feature import LightGlue
from tqdm import tqdm

from lightglue.examples import Example
from lightglue.network import assignments, network_inputs
from lightglue.settings import Training
from lightglue.views import Truth

WARM_UP = 0.05  # share of steps in which the learning rate rises: AdamW's first steps are noisy
CLIP = 1.0  # longest gradient
SAVE_EVERY = 100  # steps; at most two minutes are lost


def pair_loss(scores: torch.Tensor, known: Truth) -> torch.Tensor:
    """Return the negative log likelihood of a pair's log assignment (M + 1, N + 1); the last row and column: no match.

    Keypoints that were cut off are ignored. Matches have the same weight as the keypoints of both sides without a
    match. Source: Lindenberger et al., ICCV 2023, section 3.3.
    """
    m, n = scores.shape[0] - 1, scores.shape[1] - 1
    matches = torch.from_numpy(known.matches[(known.matches < (m, n)).all(axis=1)]).to(scores.device)
    loss = scores.new_zeros(())
    if len(matches):
        loss = loss - scores[matches[:, 0], matches[:, 1]].mean()
    for dustbin, none in ((scores[:m, n], known.none0[:m]), (scores[m, :n], known.none1[:n])):
        if none.any():
            loss = loss - dustbin[torch.from_numpy(none).to(scores.device)].mean() / 2
    return loss


def batch_loss(net: LightGlue, examples: Sequence[Example], device: str) -> torch.Tensor:
    """Return the mean of pair_loss over all pairs and, as in LightGlue, all layers."""
    sides = (network_inputs([getattr(e, name) for e in examples], device) for name in ("view0", "view1"))
    known = [e.truth for e in examples]
    layers = assignments(net, *sides)
    return torch.stack([pair_loss(s, t) for scores in layers for s, t in zip(scores, known, strict=True)]).mean()


def learning_rate(step: int, training: Training) -> float:
    """Return the learning rate: it rises over the first steps, then falls along a cosine to 0."""
    rising = max(1, round(WARM_UP * training.steps))
    if step < rising:
        return training.rate * (step + 1) / rising
    return training.rate * 0.5 * (1 + np.cos(np.pi * (step - rising) / max(1, training.steps - rising)))


def train(
    net: LightGlue, examples: Callable[[int], list[Example]], training: Training, checkpoint: Path, device: str
) -> dict[str, Any]:
    """Train `net` in place, from the `checkpoint` if it exists. Return seconds, and losses every SAVE_EVERY steps.

    If the program stops, only the steps after the last checkpoint are lost.
    """
    net.to(device).train()
    weights = dict(net.named_parameters())
    optimizer = torch.optim.AdamW(weights.values(), lr=training.rate)
    done = {"step": 0, "seconds": 0.0, "losses": []}
    if checkpoint.exists():
        done = restore(checkpoint, weights, optimizer)
    recent: list[float] = []
    start = time.perf_counter() - done["seconds"]
    with tqdm(range(done["step"], training.steps), initial=done["step"], total=training.steps, desc="training") as bar:
        for step in bar:
            for group in optimizer.param_groups:
                group["lr"] = learning_rate(step, training)
            loss = batch_loss(net, examples(step), device)
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(weights.values(), CLIP)
            optimizer.step()
            recent.append(loss.item())
            bar.set_postfix(loss=f"{np.mean(recent):.3f}")
            if (step + 1) % SAVE_EVERY == 0 or step + 1 == training.steps:
                done["losses"].append(round(float(np.mean(recent)), 4))
                done |= {"step": step + 1, "seconds": time.perf_counter() - start}
                recent = []
                save_checkpoint(checkpoint, weights, optimizer, done)
    net.to("cpu").eval()
    return {"seconds": round(done["seconds"], 1), "losses": done["losses"]}
