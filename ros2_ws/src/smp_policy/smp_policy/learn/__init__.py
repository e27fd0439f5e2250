"""Making policies from episodes: one dataclass and one command a program; `--help` tells the rest.

    python -m smp_policy.learn.train state DATA --out MODEL     one policy on every task of a data set
    python -m smp_policy.learn.evaluate MODEL                   closed loop in the simulated cell
    python -m smp_policy.learn.finetune MODEL DATA --out NEW    a few demonstrations of new tasks
    python -m smp_policy.learn.see DATA --out EYES              cameras first: an image model without a GPU
    python -m smp_policy.learn.export MODEL                     ONNX graphs beside the weights

Below them: `data` (episodes to arrays), `pictures`, `normalise` (scales), `segments` (arrays to batches), `loop`
(optimiser steps), `checkpoint`, `journal`; `rollout` (one episode in the cell, by the rules of `driver`), `score`,
`figures`.
"""
