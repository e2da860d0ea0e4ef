"""One small step of SGD on the toy maze multiplies the TD errors by 1 + eta A.

Source: Yue et al. 2023, arXiv 2310.04411: the one-step law.
"""

from functools import partial

import torch
from toy_maze import DISCOUNT, make_critic, make_maze, observe, train

from laws.checks import Check, Finding, around
from rayoff.seem import kernel, td_matrix


def one_step_error(learning_rate: float) -> float:
    """Return the relative error of eta A u against the change of u, after 100 updates."""
    maze = make_maze(dtype=torch.float64)
    critic = make_critic([111], dtype=torch.float64)
    warm_up = torch.optim.SGD(critic.parameters(), lr=2e-2)
    for _ in train(critic, maze, warm_up, 100):
        pass
    before = observe(critic, maze)
    pairs = torch.cat([maze.observations, maze.actions], -1)
    next_pairs = torch.cat([maze.next_observations, before.next_actions[0]], -1)
    num_rows = len(pairs)
    gram, next_gram = kernel(critic, torch.cat([pairs, next_pairs])[None], num_rows).chunk(2, 2)
    a = td_matrix(gram, next_gram, DISCOUNT)[0, 0]
    u = before.errors.detach()[0]
    expected = 2 * learning_rate / num_rows * a @ u  # eta of a mean over the rows

    for _ in train(critic, maze, torch.optim.SGD(critic.parameters(), lr=learning_rate), 1):
        pass

    change = observe(critic, maze).errors.detach()[0] - u
    return ((change - expected).norm() / expected.norm()).item()


def examine() -> Finding:
    """Return what is found of R2."""
    errors = {rate: one_step_error(rate) for rate in (2e-3, 2e-4, 2e-5)}
    check = partial(Check, "R2")
    return Finding(
        [
            check("relative error of ηAu, learning rate 2e-4", "7.4e-6", errors[2e-4], high=1e-5),
            *(
                check(
                    f"its ratio, learning rate {rate:g} to {rate / 10:g}",
                    "10",
                    errors[rate] / errors[rate / 10],
                    **around(10, 1),
                )
                for rate in (2e-3, 2e-4)
            ),
        ],
        {},
    )
