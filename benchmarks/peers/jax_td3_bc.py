"""Steps per second of TD3+BC compiled by JAX; run by the peers' own interpreter.

The updates are those of rayoff's td3_bc with its defaults, for one seed: the reference for what a
compiler makes of them. Two steps are compiled together, the second of which moves the actor and
the targets; sampling is included. Prints one JSON object with ``steps_per_second``.

Shapes: N = 2 critics, B batch, M rows, S observation, A action.
"""

import json
import sys
import time
from functools import partial
from itertools import pairwise
from typing import NamedTuple

import jax  # pyright: ignore[reportMissingImports] - in an environment of its own
import jax.numpy as jnp  # pyright: ignore[reportMissingImports]
import numpy as np

NUM_ROWS, BATCH_SIZE, NUM_OBSERVATIONS, NUM_ACTIONS, WIDTH = 10_000, 256, 11, 3, 256
DISCOUNT, TAU, LEARNING_RATE, Q_WEIGHT = 0.99, 0.005, 3e-4, 2.5
TARGET_NOISE, TARGET_NOISE_CLIP = 0.2, 0.5


class Adam(NamedTuple):
    """Parameters with their moments."""

    parameters: list
    first: list
    second: list
    count: jax.Array


class State(NamedTuple):
    """All that an update changes."""

    actor: Adam
    critic: Adam
    target_actor: list
    target_critic: list
    key: jax.Array


def layers(key: jax.Array, sizes: list[int], ensemble: tuple[int, ...] = ()) -> list:
    """Return weights (*ensemble, I, O) and biases (*ensemble, O), uniform +-1/sqrt(I)."""
    made = []
    for num_inputs, num_outputs in pairwise(sizes):
        key, of_weight, of_bias = jax.random.split(key, 3)
        uniform = partial(jax.random.uniform, minval=-1.0, maxval=1.0)
        weight = uniform(of_weight, (*ensemble, num_inputs, num_outputs))
        bias = uniform(of_bias, (*ensemble, num_outputs))
        made.append((weight / num_inputs**0.5, bias / num_inputs**0.5))
    return made


def perceptron(parameters: list, x: jax.Array) -> jax.Array:
    """Return the output of a ReLU network, (B, O)."""
    *hidden, (weight, bias) = parameters
    for hidden_weight, hidden_bias in hidden:
        x = jax.nn.relu(x @ hidden_weight + hidden_bias)
    return x @ weight + bias


def policy(parameters: list, observations: jax.Array) -> jax.Array:
    """Return actions, (B, A)."""
    return jnp.tanh(perceptron(parameters, observations))


def values(parameters: list, observations: jax.Array, actions: jax.Array) -> jax.Array:
    """Return Q of all critics, (N, B)."""
    pairs = jnp.concatenate([observations, actions], -1)
    return jax.vmap(perceptron, (0, None))(parameters, pairs)[..., 0]


def start(parameters: list) -> Adam:
    """Return parameters with moments of zero."""
    zeros = jax.tree.map(jnp.zeros_like, parameters)
    return Adam(parameters, zeros, zeros, jnp.zeros(()))


def step(adam: Adam, gradients: list) -> Adam:
    """Return the parameters after one step of Adam (0.9, 0.999, 1e-8)."""
    count = adam.count + 1
    first = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, adam.first, gradients)
    second = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g * g, adam.second, gradients)

    def move(p: jax.Array, m: jax.Array, v: jax.Array) -> jax.Array:
        deviation = jnp.sqrt(v / (1 - 0.999**count)) + 1e-8
        return p - LEARNING_RATE * (m / (1 - 0.9**count)) / deviation

    return Adam(jax.tree.map(move, adam.parameters, first, second), first, second, count)


def critic_loss(parameters: list, state: State, batch: dict, key: jax.Array) -> jax.Array:
    """Return the TD error, summed over critics."""
    noise = TARGET_NOISE * jax.random.normal(key, batch["actions"].shape)
    noise = noise.clip(-TARGET_NOISE_CLIP, TARGET_NOISE_CLIP)
    next_actions = (policy(state.target_actor, batch["next_observations"]) + noise).clip(-1, 1)
    next_q = values(state.target_critic, batch["next_observations"], next_actions).min(0)
    target = batch["rewards"] + DISCOUNT * (1 - batch["terminations"]) * next_q
    q = values(parameters, batch["observations"], batch["actions"])
    return jnp.square(q - target).mean(-1).sum()


def actor_loss(parameters: list, critic: list, batch: dict) -> jax.Array:
    """Return cloning error minus the first critic's scaled Q."""
    actions = policy(parameters, batch["observations"])
    first = jax.tree.map(lambda parameter: parameter[:1], critic)
    q = values(first, batch["observations"], actions)[0]
    q_loss = -q.mean() / jax.lax.stop_gradient(jnp.abs(q).mean())
    return Q_WEIGHT * q_loss + jnp.square(actions - batch["actions"]).mean()


def update(state: State, rows: dict, *, moves_actor: bool) -> State:
    """Return the state after one gradient step on a batch of ``rows``."""
    key, of_batch, of_noise = jax.random.split(state.key, 3)
    index = jax.random.randint(of_batch, (BATCH_SIZE,), 0, NUM_ROWS)
    batch = {name: column[index] for name, column in rows.items()}
    gradients = jax.grad(critic_loss)(state.critic.parameters, state, batch, of_noise)
    state = state._replace(critic=step(state.critic, gradients), key=key)
    if not moves_actor:
        return state
    critic = state.critic.parameters
    gradients = jax.grad(actor_loss)(state.actor.parameters, critic, batch)
    actor = step(state.actor, gradients)
    lerp = partial(jax.tree.map, lambda target, source: target + TAU * (source - target))
    return state._replace(
        actor=actor,
        target_actor=lerp(state.target_actor, actor.parameters),
        target_critic=lerp(state.target_critic, critic),
    )


@partial(jax.jit, donate_argnums=0)
def two_updates(state: State, rows: dict) -> State:
    """Return the state after a step of the critic and a step of both."""
    return update(update(state, rows, moves_actor=False), rows, moves_actor=True)


def main() -> None:
    """Time ``sys.argv[1]`` seconds of updates on random transitions of Hopper's shape."""
    seconds = float(sys.argv[1])
    rng = np.random.default_rng(0)
    widths = {"observations": NUM_OBSERVATIONS, "actions": NUM_ACTIONS}
    widths["next_observations"] = NUM_OBSERVATIONS
    rows = {
        name: jnp.asarray(rng.uniform(-1, 1, (NUM_ROWS, width)).astype(np.float32))
        for name, width in widths.items()
    }
    rows["rewards"] = jnp.asarray(rng.standard_normal(NUM_ROWS, dtype=np.float32))
    rows["terminations"] = jnp.asarray((np.arange(NUM_ROWS) % 500 == 499).astype(np.float32))
    of_actor, of_critic, key = jax.random.split(jax.random.key(0), 3)
    actor = layers(of_actor, [NUM_OBSERVATIONS, WIDTH, WIDTH, NUM_ACTIONS])
    critic = layers(of_critic, [NUM_OBSERVATIONS + NUM_ACTIONS, WIDTH, WIDTH, 1], (2,))
    state = State(start(actor), start(critic), actor, critic, key)
    # the state is donated, so no two of its arrays may share memory
    state = jax.tree.map(jnp.copy, state)
    for _ in range(10):  # compilation and warm-up
        state = two_updates(state, rows)
    jax.block_until_ready(state)
    steps, started = 0, time.process_time()
    while (elapsed := time.process_time() - started) < seconds:
        state = jax.block_until_ready(two_updates(state, rows))
        steps += 2
    print(json.dumps({"steps_per_second": steps / elapsed}))


if __name__ == "__main__":
    main()
