"""Compute ten training steps in float64, with every formula written out, for tests/training/test_trajectory.py.

    python scripts/robustness/trajectory.py

It imports from the package only the loading of MNIST. It compares its gradients with central differences.
"""

import numpy as np

import fastdigits as fd

RATE, BETA1, BETA2, EPS, SMOOTHING, BATCH = 0.01, 0.9, 0.999, 1e-8, 0.1, 64


def wave(n_in: int, n_out: int) -> np.ndarray:
    """Return weights that look random and are easy to compute again."""
    k = np.arange(n_in * n_out, dtype=np.float64).reshape(n_in, n_out)
    return (np.sin(k * k) * 2 / np.sqrt(n_in)).astype(np.float32).astype(np.float64)


def forward(
    p: dict[str, np.ndarray], x: np.ndarray, target: np.ndarray
) -> tuple[float, dict[str, np.ndarray]]:
    a = x @ p["w1"] + p["b1"]
    std = np.sqrt(a.var(axis=0) + 1e-5)
    x_hat = (a - a.mean(axis=0)) / std
    z = x_hat * p["gamma"] + p["beta"]
    r1 = np.maximum(z, 0)
    c = r1 @ p["w2"] + p["b2"]
    r2 = np.maximum(c, 0)
    logits = r2 @ p["w3"] + p["b3"]
    e = np.exp(logits - logits.max(axis=1, keepdims=True))
    probs = e / e.sum(axis=1, keepdims=True)
    loss = float(-(target * np.log(probs)).sum(axis=1).mean())
    return loss, {"std": std, "x_hat": x_hat, "z": z, "r1": r1, "c": c, "r2": r2, "probs": probs}


def gradients(p: dict[str, np.ndarray], x: np.ndarray, target: np.ndarray) -> dict[str, np.ndarray]:
    v = forward(p, x, target)[1]
    dlogits = (v["probs"] - target) / len(x)
    dc = (dlogits @ p["w3"].T) * (v["c"] > 0)
    dz = (dc @ p["w2"].T) * (v["z"] > 0)
    dx_hat = dz * p["gamma"]
    da = (dx_hat - dx_hat.mean(axis=0) - v["x_hat"] * (dx_hat * v["x_hat"]).mean(axis=0)) / v["std"]
    return {
        "w1": x.T @ da,
        "b1": da.sum(axis=0),
        "gamma": (dz * v["x_hat"]).sum(axis=0),
        "beta": dz.sum(axis=0),
        "w2": v["r1"].T @ dc,
        "b2": dc.sum(axis=0),
        "w3": v["r2"].T @ dlogits,
        "b3": dlogits.sum(axis=0),
    }


def check(p: dict[str, np.ndarray], x: np.ndarray, target: np.ndarray, found: dict[str, np.ndarray]) -> None:
    """Print the slope in a random direction beside its central difference."""
    for name, gradient in found.items():
        direction = np.random.default_rng(0).normal(size=gradient.shape)
        above, below = (forward({**p, name: p[name] + h * direction}, x, target)[0] for h in (1e-6, -1e-6))
        slope, wanted = (gradient * direction).sum(), (above - below) / 2e-6
        print(f"{name:<6} slope {slope:+.8f}, central difference {wanted:+.8f}")


def main() -> None:
    (images, labels), _ = fd.load_mnist()
    p = {"w1": wave(784, 64), "b1": np.zeros(64), "gamma": np.ones(64), "beta": np.zeros(64)}
    p |= {"w2": wave(64, 32), "b2": np.zeros(32), "w3": wave(32, 10), "b3": np.zeros(10)}
    m, v = ({name: np.zeros_like(value) for name, value in p.items()} for _ in range(2))
    losses = []
    for step in range(1, 11):
        part = slice((step - 1) * BATCH, step * BATCH)
        x = images[part].reshape(BATCH, 784) / 255.0
        target = np.full((BATCH, 10), SMOOTHING / 10)
        target[np.arange(BATCH), labels[part]] += 1 - SMOOTHING
        losses.append(forward(p, x, target)[0])
        found = gradients(p, x, target)
        if step == 4:
            check(p, x, target, found)
        for name, gradient in found.items():
            m[name] = BETA1 * m[name] + (1 - BETA1) * gradient
            v[name] = BETA2 * v[name] + (1 - BETA2) * gradient**2
            size = np.sqrt(v[name] / (1 - BETA2**step)) + EPS
            p[name] = p[name] - RATE * (m[name] / (1 - BETA1**step)) / size
    print([round(loss, 6) for loss in losses])


if __name__ == "__main__":
    main()
