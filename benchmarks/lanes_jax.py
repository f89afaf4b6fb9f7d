"""An MLP's lanes in JAX and optax: `jit` of a `scan` over steps of a `vmap` over lanes.

    python benchmarks/lanes_jax.py 64,128,128,10 BATCH LANES STEPS

Prints the microseconds of a lane's step: the median of five calls after the one that compiles.
"""

import statistics
import sys
import time
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax


def main() -> None:
    widths = [int(width) for width in sys.argv[1].split(",")]
    batch, lanes, steps = (int(word) for word in sys.argv[2:])
    draw = np.random.default_rng(0)
    x = jnp.asarray(draw.standard_normal((1437, widths[0])), jnp.float32)
    y = jnp.asarray(draw.integers(0, widths[-1], 1437))
    rates = jnp.asarray(1e-3 * 10 ** (-2 * np.arange(lanes) / lanes), jnp.float32)
    adam = optax.scale_by_adam()

    def start(key: jax.Array) -> list[tuple[jax.Array, jax.Array]]:
        keys = jax.random.split(key, len(widths) - 1)
        return [
            (jax.random.normal(key, (a, b)) / a**0.5, jnp.zeros(b))
            for key, a, b in zip(keys, widths, widths[1:], strict=False)
        ]

    def loss(params: list[tuple[jax.Array, jax.Array]], rows: jax.Array) -> jax.Array:
        h = x[rows]
        for weight, bias in params[:-1]:
            h = jax.nn.relu(h @ weight + bias)
        logits = h @ params[-1][0] + params[-1][1]
        return optax.softmax_cross_entropy_with_integer_labels(logits, y[rows]).mean()

    def step(state: tuple, rate: jax.Array, rows: jax.Array) -> tuple:
        params, moments = state
        value, grads = jax.value_and_grad(loss)(params, rows)
        updates, moments = adam.update(grads, moments)
        params = jax.tree.map(lambda p, u: p - rate * u, params, updates)
        return (params, moments), value

    @partial(jax.jit, donate_argnums=0)
    def run(state: tuple, orders: jax.Array) -> tuple:
        return jax.lax.scan(
            lambda now, rows: jax.vmap(step, in_axes=(0, 0, 0))(now, rates, rows), state, orders
        )

    params = jax.vmap(start)(jax.random.split(jax.random.key(0), lanes))
    state = params, jax.vmap(adam.init)(params)
    seeds = draw.integers(0, 1437, (steps, 2, batch))
    orders = jnp.asarray(seeds[:, np.arange(lanes) % 2])
    times = []
    for _ in range(6):
        began = time.perf_counter()
        state, values = run(state, orders)
        jax.block_until_ready((state, values))
        times.append(time.perf_counter() - began)
    print(statistics.median(times[1:]) / steps / lanes * 1e6)


if __name__ == "__main__":
    main()
