"""Runs TRL's and verl's own functions on given tensors: nothing of their formulas is written here."""
import shim  # noqa: F401  (first)
import ast
import inspect
import textwrap
from collections import defaultdict
from types import MethodType, SimpleNamespace

import numpy as np
import torch
from trl import GRPOTrainer
from trl.trainer import grpo_trainer, utils as trl_utils
from verl.trainer.ppo import core_algos
from verl.utils import torch_functional as verl_functional
from verl.workers.config import ActorConfig


def trl_advantages(rewards, group, dtype, *, scale="group", weights=None, aggregation="sum_then_normalize"):
    """The statements of GRPOTrainer._generate_and_score_completions from `unscorable_mask` to `nan_to_num`, as they stand there."""
    body = ast.parse(textwrap.dedent(inspect.getsource(GRPOTrainer._generate_and_score_completions))).body[0].body
    named = lambda node: isinstance(node, ast.Assign) and getattr(node.targets[0], "id", None)  # noqa: E731
    first = next(i for i, node in enumerate(body) if named(node) == "unscorable_mask")
    last = next(i for i, node in enumerate(body) if named(node) == "advantages" and "nan_to_num" in ast.unparse(node))
    table = torch.tensor(rewards, dtype=dtype)
    if table.dim() == 1:
        table = table[:, None]
    count = table.shape[1]
    names = {
        "torch": torch, "nanstd": grpo_trainer.nanstd, "rewards_per_func": table, "num_generations": group, "device": "cpu",
        "self": SimpleNamespace(scale_rewards=scale, multi_objective_aggregation=aggregation, reward_funcs=[None] * count,
                                reward_weights=torch.tensor(weights or [1.0] * count, dtype=dtype)),
    }
    exec(compile(ast.Module(body=body[first:last + 1], type_ignores=[]), "trl", "exec"), names)
    return names["advantages"].tolist()


def verl_advantages(rewards, groups, dtype, *, estimator="grpo", by_std=True):
    scores = torch.tensor(rewards, dtype=dtype)[:, None]
    mask = torch.ones_like(scores)
    index = np.array([str(g) for g in groups], dtype=object)
    keywords = {"norm_adv_by_std_in_grpo": by_std} if estimator.startswith("grpo") and estimator != "grpo_passk" else {}
    function = core_algos.get_adv_estimator_fn(estimator)
    return function(token_level_rewards=scores, response_mask=mask, index=index, **keywords)[0][:, 0].tolist()


class Accelerator:
    num_processes = 1
    sync_gradients = True

    def gather(self, value):
        return value

    def reduce(self, value, reduction="sum"):
        return value

    def pad_across_processes(self, value, dim=0, pad_index=0):
        return value


def trl_loss(batch, settings):
    """GRPOTrainer._compute_loss on a trainer that has only what it asks for. Returns loss, gradient, metrics and the gradient with respect to entropies (None where it is 0)."""
    logp = batch["logp"].clone().requires_grad_(True)
    entropy = batch["entropy"].clone().requires_grad_(True)
    mask = batch["mask"]
    defaults = dict(loss_type="dapo", epsilon_low=0.2, epsilon_high=0.2, beta=0.0, importance_sampling_level="token", entropy_coef=0.0,
                    max_completion_length=mask.shape[1], top_entropy_quantile=1.0, off_policy_mask_threshold=None)
    arguments = dict(use_bias_correction_kl=False, delta=None, sapo_temperature_pos=1.0, sapo_temperature_neg=1.05, vespo_k_pos=2.0, vespo_lambda_pos=3.0,
                     vespo_k_neg=3.0, vespo_lambda_neg=2.0, steps_per_generation=1)
    unknown = set(settings) - set(defaults) - set(arguments)
    assert not unknown, unknown
    chosen = {**defaults, **{k: v for k, v in settings.items() if k in defaults}}
    trainer = SimpleNamespace(
        **chosen, args=SimpleNamespace(**{**arguments, **{k: v for k, v in settings.items() if k in arguments}}), accelerator=Accelerator(),
        aux_loss_enabled=False, use_vllm=False, vllm_importance_sampling_correction=False, model=SimpleNamespace(training=True), use_adaptive_entropy=False,
        current_gradient_accumulation_steps=1, _entropy_bonus_enabled=chosen["entropy_coef"] != 0, _metrics={"train": defaultdict(list)},
        _get_per_token_logps_and_entropies=lambda *_, **__: (logp, entropy, None),
        get_off_policy_mask=GRPOTrainer.get_off_policy_mask, get_gamma_weights=GRPOTrainer.get_gamma_weights,
    )
    trainer.get_high_entropy_mask = MethodType(GRPOTrainer.get_high_entropy_mask, trainer)
    ids = torch.zeros_like(mask, dtype=torch.long)
    ones = torch.ones_like(mask)
    inputs = {"prompt_ids": ids[:, :1], "prompt_mask": ones[:, :1], "completion_ids": ids, "completion_mask": ones, "tool_mask": mask,
              "advantages": batch["advantages"], "old_per_token_logps": batch["old"], "ref_per_token_logps": batch["ref"], "num_items_in_batch": mask.sum()}
    loss = GRPOTrainer._compute_loss(trainer, None, inputs)
    loss.backward()
    metrics = {name: values[0] for name, values in trainer._metrics["train"].items() if name in ("kl", "clip_ratio/region_mean", "entropy")}
    return loss.item(), logp.grad.tolist(), metrics, None if entropy.grad is None else entropy.grad.tolist()


def verl_loss(batch, settings):
    """A policy loss of verl's registry, plus its entropy and KL terms as workers/utils/losses.py adds them."""
    settings = dict(settings)
    mode, aggregation = settings.pop("mode", "vanilla"), settings.pop("aggregation", "token-mean")
    kl_type, kl_weight = settings.pop("kl_type", None), settings.pop("kl_weight", 0.0)
    batch_info, entropy_weight = settings.pop("batch_info", {}), settings.pop("entropy_coeff", 0.0)
    config = ActorConfig(strategy="fsdp", rollout_n=1, ppo_micro_batch_size_per_gpu=1, **settings)
    config.global_batch_info.update(batch_info)
    logp = batch["logp"].clone().requires_grad_(True)
    entropy = batch["entropy"].clone().requires_grad_(True)
    mask = batch["mask"]
    advantages = batch["advantages"][:, None].expand_as(mask)
    loss, metrics = core_algos.get_policy_loss_fn(mode)(batch["old"], logp, advantages, mask, aggregation, config)
    metrics = {name.removeprefix("actor/"): value for name, value in metrics.items()}
    if entropy_weight:
        loss = loss - entropy_weight * core_algos.agg_loss(loss_mat=entropy, loss_mask=mask, loss_agg_mode=aggregation, **config.global_batch_info)
    if kl_type:
        estimate = core_algos.kl_penalty(logp, batch["ref"], kl_type)
        kl = core_algos.agg_loss(loss_mat=estimate, loss_mask=mask, loss_agg_mode=aggregation, **config.global_batch_info)
        metrics["kl"] = kl.item()
        loss = loss + kl_weight * kl
    loss.backward()
    return loss.item(), logp.grad.tolist(), metrics, None if entropy.grad is None else entropy.grad.tolist()


def verl_aggregate(values, mask, mode, **keywords):
    return core_algos.agg_loss(values, mask, mode, **keywords).item()


def verl_kl(logp, ref, kind):
    value = torch.tensor(logp, dtype=torch.float64, requires_grad=True)
    estimate = core_algos.kl_penalty(value, torch.tensor(ref, dtype=torch.float64), kind)
    estimate.sum().backward()
    return estimate.tolist(), value.grad.tolist()


def logprob_entropy(logits, targets, temperature):
    """Log-probability and entropy of both, in f64 and f32; TRL divides by the temperature itself, verl's trainer does so before the call."""
    out = {}
    for name, dtype in (("f64", torch.float64), ("f32", torch.float32)):
        z = torch.tensor(logits, dtype=dtype)
        y = torch.tensor(targets)
        trl = trl_utils.selective_log_softmax_and_entropy(z, y, temperature=temperature)
        scaled = z / temperature
        out[f"trl_{name}"] = [t.tolist() for t in trl]
        out[f"verl_{name}"] = [verl_functional.logprobs_from_logits_v2(scaled, y).tolist(), verl_functional.entropy_from_logits(scaled).tolist()]
    return out
