"""Loss and advantage goldens: TRL's and verl's own functions. Writes packages/policy/golden. Run: nice python scripts/goldens/losses.py

Each case says what our option is (`ours`), or `pending` with the reason why there is none, or `differs` with the reason why we want another value.
"""
import shim  # noqa: F401  (first)
import shutil

import numpy as np
import torch
from verl.trainer.ppo.rollout_corr_helper import compute_rollout_correction_weights

import peers
from configs import ROOT
from deterministic import uniforms
from store import write_json, write_manifest

OUT = ROOT / "packages" / "policy" / "golden"
F64 = torch.float64
SEED = 21


def exact(values):
    """Rounded to f32, kept as f64: both sides start from the same numbers."""
    return torch.tensor(np.array(values, dtype=np.float32).astype(np.float64))


def batches():
    published = {
        "logp": [[-1, -0.5, -2, -0.1], [-0.7, -0.2, -1.5, -0.3]], "old": [[-1.1, -0.5, -1, -0.1], [-0.7, -1.7, -1.5, -0.3]],
        "ref": [[-1, -0.6, -2.5, -0.1], [-0.7, -0.2, -1, -0.3]], "mask": [[1, 1, 0, 1], [1, 1, 0, 0]], "advantages": [1, -1],
    }
    shape = (6, 9)
    draw = lambda name, low, high: (uniforms(SEED, name, 54).reshape(shape) + 1) / 2 * (high - low) + low  # noqa: E731
    logp = draw("logp", -4, -0.05)
    mask = np.ones(shape)
    for row, (start, end) in enumerate([(0, 9), (2, 5), (9, 9), (7, 9), (4, 6), (1, 9)]):
        mask[row, start:end] = 0 if row in (1, 4) else mask[row, start:end]
        if row in (3, 5):
            mask[row, start:end] = 0
    random = {"logp": logp, "old": logp + draw("old", -1.6, 1.6), "ref": logp + draw("ref", -1.2, 1.2), "mask": mask, "advantages": [1.5, -0.5, 0.25, -2, 0.75, 1]}
    # ratios above e^20 and below e^-20, KL of 3 and more: where verl's clamps act
    extreme = {"logp": [[-0.5, -3, -30, -1], [-2, -0.25, -1, -4]], "old": [[-25, -3.5, -2, -1], [-26, -0.5, -1.25, -4]],
               "ref": [[-0.5, 0, -5, -1], [-2, -4.25, -1, -1]], "mask": [[1, 1, 1, 1], [1, 1, 1, 0]], "advantages": [-1, 1]}
    empty = {**published, "mask": [[1, 1, 0, 1], [0, 0, 0, 0]]}
    out = {}
    for name, batch in {"published": published, "random": random, "extreme": extreme, "empty-row": empty}.items():
        out[name] = {key: exact(value) for key, value in batch.items()}
        out[name]["entropy"] = exact((uniforms(SEED, f"entropy {name}", out[name]["mask"].numel()).reshape(out[name]["mask"].shape) + 1) * 1.5)
    return out


BATCHES = batches()


def ours(surrogate="ppo", low=0.2, high=0.28, kl=0.0, aggregation="sequence-mean", constant=0, **more):
    return {"surrogate": surrogate, "clipLow": low, "clipHigh": high, "klWeight": kl, "aggregation": aggregation, "constantLength": constant, **more}


def case(identity, framework, function, settings, batch, found, status):
    loss, gradient, metrics, entropy_gradient = found
    kind, value = status
    entry = {"id": identity, "framework": framework, "function": function, "settings": settings, "batch": batch, kind: value,
             "loss": loss, "gradient": gradient, "metrics": metrics}
    return entry if entropy_gradient is None else {**entry, "entropyGradient": entropy_gradient}


def trl_cases():
    clip = {"epsilon_low": 0.2, "epsilon_high": 0.28}
    grpo = {"loss_type": "grpo", **clip}
    no_option = lambda what: ("pending", f"the policy layer has no {what}")  # noqa: E731
    listed = [
        ("grpo", grpo, ours()),
        ("grpo symmetric", {"loss_type": "grpo"}, ours(high=0.2)),
        ("dapo", {"loss_type": "dapo", **clip}, ours(aggregation="token-mean")),
        ("bnpo", {"loss_type": "bnpo", **clip}, ours(aggregation="token-mean")),
        ("dr_grpo", {"loss_type": "dr_grpo", "max_completion_length": 16, **clip}, ours(constant=16)),
        ("grpo kl", {**grpo, "beta": 0.04}, ours(kl=0.04)),
        ("dapo kl", {"loss_type": "dapo", "beta": 0.04, **clip}, ours(kl=0.04, aggregation="token-mean")),
        ("dr_grpo kl", {"loss_type": "dr_grpo", "max_completion_length": 16, "beta": 0.04, **clip}, ours(kl=0.04, constant=16)),
        ("gspo", {**grpo, "importance_sampling_level": "sequence"}, ours("gspo")),
        ("gspo kl", {**grpo, "importance_sampling_level": "sequence", "beta": 0.04}, ours("gspo", kl=0.04)),
        # epsilon_high is the cap itself and there is no lower bound: ours with 1 - 1 and 1 + 4
        ("cispo", {"loss_type": "cispo", "epsilon_low": 0.2, "epsilon_high": 5.0}, ours("cispo", 1.0, 4.0, aggregation="token-mean")),
        ("two-sided clip", {**grpo, "delta": 1.5}, ours(ratioCap=1.5)),
        ("two-sided clip, sequence ratio", {**grpo, "delta": 1.5, "importance_sampling_level": "sequence"}, ours("gspo", ratioCap=1.5)),
        ("sapo", {"loss_type": "sapo"}, no_option("SAPO")),
        ("vespo", {"loss_type": "vespo"}, no_option("VESPO")),
        ("luspo", {"loss_type": "luspo", "importance_sampling_level": "sequence", **clip}, ours("gspo", constant=1)),
        ("kl weighted by the ratio", {**grpo, "beta": 0.04, "use_bias_correction_kl": True}, no_option("use_bias_correction_kl")),
        ("dapo entropy bonus", {"loss_type": "dapo", "entropy_coef": 0.01, **clip}, ours(aggregation="token-mean", entropyBonus=0.01)),
        ("entropy bonus", {**grpo, "entropy_coef": 0.01}, ("differs", "TRL's entropy bonus is a mean over all tokens whatever the loss; ours is aggregated as the loss is, as verl's is", ours(entropyBonus=0.01))),
        ("top entropy", {**grpo, "top_entropy_quantile": 0.4}, no_option("entropy-quantile mask")),
        ("off-policy mask", {**grpo, "off_policy_mask_threshold": 0.3}, no_option("off-policy sequence mask")),
    ]
    for name, settings, mapped in listed:
        status = mapped[:2] if isinstance(mapped, tuple) else ("ours", mapped)
        for batch in ("published", "random", "empty-row"):
            entry = case(f"trl {name} / {batch}", "trl", "GRPOTrainer._compute_loss", settings, batch, peers.trl_loss(BATCHES[batch], settings), status)
            # where the values differ on purpose: the option whose values differ
            yield {**entry, "nearest": mapped[2]} if isinstance(mapped, tuple) and status[0] == "differs" else entry
    yield case("trl grpo kl / extreme", "trl", "GRPOTrainer._compute_loss", {**grpo, "beta": 0.04}, "extreme",
               peers.trl_loss(BATCHES["extreme"], {**grpo, "beta": 0.04}), ("ours", ours(kl=0.04)))


def verl_cases():
    clip = {"clip_ratio_low": 0.2, "clip_ratio_high": 0.28}
    plain = {**clip, "clip_ratio_c": 1e9}
    aggregations = {
        "token-mean": ours(aggregation="token-mean"),
        "seq-mean-token-mean": ours(),
        "seq-mean-token-sum": ours(constant=1),
        "seq-mean-token-sum-norm": ours(constant="width"),
        "token-sum": ours(aggregation="token-sum"),
    }
    clamped = "verl clamps the log-ratio to +-20 and k3 to at most 10; we keep them as they are, as TRL does"
    dropped = "a row with no trained token counts in our mean, as in TRL and in verl's trainer (global_batch_size); without global_batch_size verl drops it"
    def add(name, settings, mapped, batch, nearest=None):
        settings = dict(settings)
        if batch == "empty-row" and str(settings.get("aggregation", "")).startswith("seq") and "batch_info" not in settings and not isinstance(mapped, tuple):
            mapped, nearest = ("differs", dropped), mapped
        if isinstance(mapped, dict) and mapped["constantLength"] == "width":
            mapped = {**mapped, "constantLength": BATCHES[batch]["mask"].shape[1]}
        if nearest and nearest["constantLength"] == "width":
            nearest = {**nearest, "constantLength": BATCHES[batch]["mask"].shape[1]}
        status = mapped if isinstance(mapped, tuple) else ("ours", mapped)
        entry = case(f"verl {name} / {batch}", "verl", f"compute_policy_loss_{settings.get('mode', 'vanilla')}", settings, batch,
                     peers.verl_loss(BATCHES[batch], settings), status)
        # where the values differ on purpose: the option whose values differ
        return {**entry, "nearest": nearest} if nearest else entry
    for aggregation, mapped in aggregations.items():
        for batch in ("published", "random", "empty-row"):
            # the random batch has a row without a trained token: the trainer passes the batch's size
            info = {"global_batch_size": 6} if batch == "random" and aggregation.startswith("seq") else {}
            extra = {"batch_info": info} if info else {}
            yield add(f"vanilla {aggregation}", {**plain, "aggregation": aggregation, **extra}, mapped, batch)
            yield add(f"vanilla {aggregation} dual clip", {**clip, "clip_ratio_c": 3.0, "aggregation": aggregation, **extra}, {**mapped, "dualClip": 3.0}, batch)
            # its GSPO and CISPO take every mode but the plain sum
            if aggregation != "token-sum":
                yield add(f"vanilla {aggregation} kl", {**plain, "aggregation": aggregation, "kl_type": "low_var_kl", "kl_weight": 0.04, **extra}, {**mapped, "klWeight": 0.04}, batch)
                yield add(f"gspo {aggregation}", {**clip, "mode": "gspo", "aggregation": aggregation, **extra}, {**mapped, "surrogate": "gspo"}, batch)
                yield add(f"cispo {aggregation}", {**clip, "mode": "cispo", "aggregation": aggregation, **extra}, {**mapped, "surrogate": "cispo"}, batch)
    whole = {"batch_info": {"global_batch_size": 2}}
    yield add("vanilla seq-mean-token-mean with global_batch_size", {**plain, "aggregation": "seq-mean-token-mean", **whole}, ours(), "empty-row")
    yield add("vanilla norm factor 16", {**plain, "aggregation": "seq-mean-token-sum-norm", "batch_info": {"loss_scale_factor": 16}}, ours(constant=16), "published")
    yield add("vanilla dapo", {**plain, "aggregation": "token-mean", "batch_info": {"batch_num_tokens": 5, "dp_size": 1}}, ours(aggregation="token-mean"), "published")
    yield add("vanilla extreme", {**plain, "aggregation": "token-mean"}, ("differs", clamped), "extreme", ours(aggregation="token-mean"))
    yield add("vanilla kl extreme", {**plain, "aggregation": "token-mean", "kl_type": "low_var_kl", "kl_weight": 0.04}, ("differs", clamped), "extreme", ours(kl=0.04, aggregation="token-mean"))
    for aggregation in ("token-mean", "seq-mean-token-mean"):
        yield add(f"vanilla {aggregation} entropy", {**plain, "aggregation": aggregation, "entropy_coeff": 0.01}, {**aggregations[aggregation], "entropyBonus": 0.01}, "published")
    for kind in ("k1", "k2", "abs", "k3+"):
        yield add(f"vanilla {kind}", {**plain, "aggregation": "token-mean", "kl_type": kind, "kl_weight": 0.04}, ours(kl=0.04, aggregation="token-mean", klEstimator=kind), "random")
    for mode in ("sapo", "geo_mean", "gpg", "clip_cov", "kl_cov"):
        try:
            # GPG is log-probability times advantage: a weight bounded to [1, 1]
            mapped = ours("cispo", 0.0, 0.0) if mode == "gpg" else ("pending", f"the policy layer has no {mode}")
            yield add(mode, {**clip, "mode": mode, "aggregation": "seq-mean-token-mean"}, mapped, "published")
        except Exception as error:  # noqa: BLE001  (said aloud: a mode that needs more than these inputs)
            print("left out:", mode, repr(error)[:120])


def advantage_cases():
    groups = {
        "1000": [1, 0, 0, 0], "1100": [1, 1, 0, 0], "10000000": [1, 0, 0, 0, 0, 0, 0, 0], "graded": [0.5, 1, 0.25, 0.25],
        "two groups": [1, 0, 0, 0, 0, 1, 1, 1], "all right": [1, 1, 1, 1], "all wrong": [0, 0, 0, 0], "close": [1, 1.0000001, 1, 1], "negative": [-1, 2, 0.5, -3],
        "equal, not a binary fraction": [1.33] * 31, "equal tenths": [0.1] * 8, "alone": [0.7],
    }
    constant = "equal rewards: rounding of their mean makes a value; a group whose rewards are all equal has advantage 0 here"
    alone = "a group of one has advantage 0 here (its mean is itself); verl takes mean 0 and deviation 1"
    for name, rewards in groups.items():
        size = 4 if name == "two groups" else len(rewards)
        of = [i // size for i in range(len(rewards))]
        for framework, estimators, epsilon in (("trl", ["group", "none"], 1e-4), ("verl", ["grpo", "grpo_vectorized", "dr_grpo"], 1e-6)):
            for estimator in estimators:
                run = (lambda dtype: peers.trl_advantages(rewards, size, dtype, scale=estimator)) if framework == "trl" else (
                    lambda dtype: peers.verl_advantages(rewards, of, dtype, estimator="grpo" if estimator == "dr_grpo" else estimator, by_std=estimator != "dr_grpo"))
                values, single = run(F64), run(torch.float32)
                entry = {"id": f"{framework} {estimator} / {name}", "framework": framework, "rewards": rewards, "groups": of, "f64": values, "f32": single,
                         "function": "GRPOTrainer._generate_and_score_completions (advantage statements)" if framework == "trl" else "compute_grpo_outcome_advantage"}
                own = {"ddof": 1, "epsilon": epsilon, "scale": "none" if estimator in ("none", "dr_grpo") else "group"}
                equal = len(set(rewards)) == 1
                # TRL's Bessel factor is a quotient of integers, hence f32; grpo_vectorized is f32 throughout
                entry["tolerance"] = 1e-6 if estimator == "grpo_vectorized" else 1e-7 if estimator == "group" else 1e-12
                if len(rewards) == 1 and framework == "verl":
                    entry["differs"] = alone
                elif name == "close" and estimator == "grpo_vectorized":
                    entry["differs"] = "grpo_vectorized computes in f32, where rewards 1e-7 apart are rounding; we compute in f64"
                elif equal and (any(values) or any(single)):
                    entry["differs"] = constant
                else:
                    entry["ours"] = own
                yield entry
    rewards = [1, 0, 0, 0, 0, 1, 1, 1]
    table = [[1, 0.5], [0, 0.25], [0, 1], [1, 0], [0, 0], [1, 1], [0, 0.5], [0, 0.75]]
    blank = [1, 0, float("nan"), 0]
    more = [
        ("trl batch scale", peers.trl_advantages(rewards, 4, F64, scale="batch"), rewards, "pending", "the policy layer has no deviation over the whole batch"),
        ("trl normalize_then_sum", peers.trl_advantages(table, 4, F64, aggregation="normalize_then_sum", weights=[1.0, 0.5]), table, "pending", "one reward a rollout here: no list of rewards (GDPO)"),
        ("trl sum_then_normalize, two rewards", peers.trl_advantages(table, 4, F64, weights=[1.0, 0.5]), table, "pending", "one reward a rollout here: no list of rewards"),
        ("trl unscorable", peers.trl_advantages(blank, 4, F64), [1, 0, None, 0], "differs", "a reward that is not a number is an error here; TRL leaves the rollout out of the mean and gives it 0"),
    ]
    for estimator in ("rloo", "opo", "reinforce_plus_plus_baseline", "grpo_passk", "gpg"):
        try:
            more.append((f"verl {estimator}", peers.verl_advantages(rewards, [0] * 4 + [1] * 4, F64, estimator=estimator), rewards, "pending", f"the policy layer has no {estimator}"))
        except Exception as error:  # noqa: BLE001
            print("left out:", estimator, repr(error)[:120])
    for name, values, given, kind, reason in more:
        yield {"id": name, "framework": name.split(" ")[0], "rewards": given, "groups": [i // 4 for i in range(len(given))], "f64": values, kind: reason}


def kl_cases():
    d = [0.1, -0.1, 1.0, -1.0, 3.0, -3.0, 0.0, 25.0, -25.0]
    logp = exact([-1.0] * len(d)).tolist()
    ref = exact((exact(d) + exact(logp)).numpy()).tolist()
    for kind in ("k1", "k2", "k3", "abs", "low_var_kl", "k1+", "k3+"):
        value, gradient = peers.verl_kl(logp, ref, kind)
        entry = {"id": f"verl kl {kind}", "logp": logp, "ref": ref, "value": value, "gradient": gradient}
        clamps = kind in ("k3", "k3+", "low_var_kl")
        yield entry | {"ours": "k3" if kind == "low_var_kl" else kind, "clamped": [i for i, x in enumerate(value) if clamps and (x == 10 or abs(d[i]) > 20)]}


def correction_cases():
    ratio = exact((uniforms(SEED, "rollout", 54).reshape(6, 9)) * 1.5)
    mask = BATCHES["random"]["mask"]
    for level in ("token", "sequence"):
        weights, _ = compute_rollout_correction_weights(ratio, mask, rollout_is=level, rollout_is_threshold=2.0)
        yield {"id": f"verl rollout_is {level}", "log_ratio": ratio.tolist(), "weights": weights.tolist(),
               "pending": "sampler and trainer give the same log-probabilities here to the bit: there is no mismatch to correct, and no option"}


def main():
    shutil.rmtree(OUT, ignore_errors=True)
    losses = [*trl_cases(), *verl_cases()]
    found = {"batches": {name: {key: value.tolist() for key, value in batch.items()} for name, batch in BATCHES.items()}, "losses": losses,
             "advantages": list(advantage_cases()), "kl": list(kl_cases()), "correction": list(correction_cases())}
    entries = [entry for kind in ("losses", "advantages", "kl", "correction") for entry in found[kind]]
    write_json(OUT / "losses.json", found)
    write_manifest(OUT, "scripts/goldens/losses.py", {
        "seed": SEED, "arithmetic": "f64, inputs rounded to f32", "tolerances": {"loss and gradient": 1e-6, "advantage": "in each case: 1e-12, more where the peer's own arithmetic is f32", "note": "relative to the largest value"},
        "cases": len(entries), "matched": sum("ours" in entry for entry in entries),
        "differs": {entry["id"]: entry["differs"] for entry in entries if "differs" in entry},
        "pending": {entry["id"]: entry["pending"] for entry in entries if "pending" in entry},
    })
    print(len(entries), "cases,", sum("ours" in e for e in entries), "with an option here,", sum("pending" in e for e in entries), "pending,", sum("differs" in e for e in entries), "differ on purpose")


if __name__ == "__main__":
    main()
