"""Model goldens: Hugging Face's Qwen3-VL with hashed weights. Writes packages/model/golden. Run: nice python scripts/goldens/model.py"""
import shim  # noqa: F401  (first)
import hashlib
import shutil

import numpy as np
import torch
from transformers import Qwen3VLConfig, Qwen3VLForConditionalGeneration
from transformers.models.qwen3_vl import modeling_qwen3_vl as modeling

from configs import CASES, ROOT, STREAMS, layouts
from deterministic import hashes, sample_indices, uniforms, weight
from peers import logprob_entropy
from preprocess import pixel_values, preprocess
from store import write_json, write_manifest, write_tensors

OUT = ROOT / "packages" / "model" / "golden"
GRADIENT_LIMIT = 512
DECODED = 6
# name: temperature, whether entropies are in the loss
RUNS = {"plain": (1.0, False), "cool": (0.7, True)}


def build(case):
    config = Qwen3VLConfig(**case["config"])
    assert config.text_config.rope_parameters["mrope_section"] == (
        case["config"]["text_config"].get("rope_parameters") or case["config"]["text_config"]["rope_scaling"])["mrope_section"]
    theta = case["config"]["text_config"].get("rope_theta") or case["config"]["text_config"]["rope_parameters"]["rope_theta"]
    assert config.text_config.rope_parameters["rope_theta"] == theta, config.text_config.rope_parameters
    config._attn_implementation = "eager"
    model = Qwen3VLForConditionalGeneration._from_config(config, attn_implementation="eager", dtype=torch.float32).eval()
    tied = case["config"]["tie_word_embeddings"]
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(torch.from_numpy(weight(case["seed"], name, tuple(parameter.shape), tied)))
    return model


def expand(case, name, grids):
    """Tokens, and the images they hold, of one sequence."""
    config = case["config"]
    plain = hashes(case["seed"], STREAMS[name], 64)
    tokens, images, taken = [], [], 0
    for part in layouts()[name]:
        if isinstance(part, int):
            tokens += [int(v) % case["plain_ids"] for v in plain[taken:taken + part]]
            taken += part
        else:
            _, gh, gw = grids[part[0]]
            tokens += [config["vision_start_token_id"], *[config["image_token_id"]] * (gh * gw // 4), config["vision_end_token_id"]]
            images.append(part[0])
    return tokens, images


def inputs_of(case, tokens, images, values, grids):
    ids = torch.tensor([tokens])
    inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    if images:
        inputs |= {"pixel_values": torch.cat([values[i] for i in images]), "image_grid_thw": torch.tensor([grids[i] for i in images]),
                   "mm_token_type_ids": (ids == case["config"]["image_token_id"]).int()}
    return inputs


class Recorder:
    """Clones of what flows through named places of the model."""

    def __init__(self, model, detailed):
        self.tensors, self.handles = {}, []
        self.put = lambda name, value: self.tensors.__setitem__(name, value.detach().clone().float().reshape(-1, value.shape[-1]).numpy())
        visual, text = model.model.visual, model.model.language_model
        self.before(visual.blocks[0], "vision.embedded")
        self.before(text, "text.embedded", "inputs_embeds")
        for j, block in enumerate(visual.blocks):
            self.after(block, f"vision.{j}.out")
            if detailed:
                self.before(block.attn.proj, f"vision.{j}.attention")
                self.after(block.attn, f"vision.{j}.attention_out")
                self.after(block.mlp, f"vision.{j}.mlp_out")
        for k, merger in enumerate(visual.deepstack_merger_list):
            self.after(merger, f"vision.deepstack.{k}")
        self.after(visual.merger, "vision.merger")
        for i, layer in enumerate(text.layers):
            if i > 0:
                self.before(layer, f"text.{i}.in")
            if detailed:
                self.before(layer.self_attn.o_proj, f"text.{i}.attention")
                self.after(layer.self_attn.o_proj, f"text.{i}.attention_out")
                self.after(layer.mlp, f"text.{i}.mlp_out")
        self.before(text.norm, "text.out")
        self.after(text.norm, "text.norm")
        self.patch("apply_rotary_pos_emb_vision", "vision", lambda t: t.reshape(t.shape[0], -1))
        self.patch("apply_rotary_pos_emb", "text", lambda t: t[0].transpose(0, 1).reshape(t.shape[2], -1))

    def before(self, module, name, keyword="hidden_states"):
        def hook(_, arguments, keywords):
            self.put(name, keywords[keyword] if keyword in keywords else arguments[0])
        self.handles.append(module.register_forward_pre_hook(hook, with_kwargs=True))

    def after(self, module, name):
        self.handles.append(module.register_forward_hook(lambda _, __, out: self.put(name, out[0] if isinstance(out, tuple) else out)))

    def patch(self, function, prefix, flat):
        """Queries and keys after rope, and the tables' first half, of the first block."""
        original = getattr(modeling, function)

        def wrapped(q, k, cos, sin, *rest, **keywords):
            out = original(q, k, cos, sin, *rest, **keywords)
            if f"{prefix}.0.q" not in self.tensors:
                self.put(f"{prefix}.0.q", flat(out[0]))
                self.put(f"{prefix}.0.k", flat(out[1]))
                table = lambda t: t.reshape(-1, t.shape[-1])[:, : t.shape[-1] // 2]  # noqa: E731
                self.put(f"{prefix}.cos", table(cos))
                self.put(f"{prefix}.sin", table(sin))
            return out
        setattr(modeling, function, wrapped)
        self.handles.append(type("Undo", (), {"remove": lambda _: setattr(modeling, function, original)})())

    def close(self):
        for handle in self.handles:
            handle.remove()


def loss_weights(case, name, tokens):
    """Weights of log-probability and entropy of each token; 0 for the first token and for image pads."""
    picked = np.array([t > 0 and token != case["config"]["image_token_id"] for t, token in enumerate(tokens)])
    return [np.where(picked, uniforms(case["seed"], f"{kind} {name}", len(tokens)), 0).astype(np.float32) for kind in ("logprob", "entropy")]


def scores(logits, tokens, temperature):
    logs = torch.log_softmax(logits[0, :-1] / temperature, -1)
    target = torch.tensor(tokens[1:])
    return logs.gather(1, target[:, None])[:, 0], -(logs.exp() * logs).sum(-1)


def gradients(model, case, sequences, temperature, with_entropy):
    model.zero_grad()
    values = {}
    for name, (tokens, inputs) in sequences.items():
        model.model.rope_deltas = None
        logprob, entropy = scores(model(**inputs).logits, tokens, temperature)
        w, u = loss_weights(case, name, tokens)
        loss = (torch.from_numpy(w[1:]) * logprob).sum()
        if with_entropy:
            loss = loss + (torch.from_numpy(u[1:]) * entropy).sum()
        loss.backward()
        values[name] = {"logprob": logprob.tolist(), "entropy": entropy.tolist()}
    found, tensors = {}, {}
    for name, parameter in model.named_parameters():
        flat = (torch.zeros_like(parameter) if parameter.grad is None else parameter.grad).reshape(-1)
        found[name] = {"norm": float(flat.double().norm()), "largest": float(flat.abs().max())}
        tensors[name] = flat[sample_indices(flat.numel(), GRADIENT_LIMIT)].numpy()
    model.zero_grad()
    return {"temperature": temperature, "entropy": with_entropy, "scores": values, "parameters": found}, tensors


def decode(model, case, tokens, inputs, prompt):
    """Prefill of `prompt` tokens, then the likeliest tokens one by one with the cache; compared with one forward of everything."""
    model.model.rope_deltas = None
    start = {key: value[:, :prompt] if key in ("input_ids", "attention_mask", "mm_token_type_ids") else value for key, value in inputs.items()}
    rows, chosen = [], []
    with torch.no_grad():
        out = model(**start, use_cache=True)
        for _ in range(DECODED):
            row = out.logits[0, -1]
            top = row.topk(2).values
            assert top[0] - top[1] > 2e-3, "a near tie: choose another seed"
            rows.append(row)
            chosen.append(int(row.argmax()))
            assert chosen[-1] != case["config"]["image_token_id"]
            mask = torch.ones(1, prompt + len(chosen), dtype=torch.long)
            # forward() of 5.23 would make positions of the whole mask for the one new token: generate() gives them, so they are given here
            position = torch.full((3, 1, 1), prompt + len(chosen) - 1) + (0 if model.model.rope_deltas is None else model.model.rope_deltas)
            out = model(input_ids=torch.tensor([[chosen[-1]]]), attention_mask=mask, position_ids=position, past_key_values=out.past_key_values, use_cache=True)
        whole = tokens[:prompt] + chosen
        ids = torch.tensor([whole])
        again = {**inputs, "input_ids": ids, "attention_mask": torch.ones_like(ids)}
        if "mm_token_type_ids" in inputs:
            again["mm_token_type_ids"] = (ids == case["config"]["image_token_id"]).int()
        model.model.rope_deltas = None
        full = model(**again).logits[0, prompt - 1:-1]
    logits = torch.stack(rows)
    gap = float((full - logits).abs().max() / full.abs().max())
    assert gap < 1e-5, gap
    logs = torch.log_softmax(logits, -1)
    return {"prompt": prompt, "tokens": chosen, "logprobs": logs.max(-1).values.tolist(), "entropies": (-(logs.exp() * logs).sum(-1)).tolist(),
            "cache_against_full": gap}, logits.numpy()


def record(model, inputs, detailed):
    recorder = Recorder(model, detailed)
    model.model.rope_deltas = None
    with torch.no_grad():
        recorder.put("logits", model(**inputs).logits)
    recorder.close()
    found = recorder.tensors
    if not detailed:
        wanted = ("vision.embedded", "vision.merger", "vision.deepstack", "text.out", "text.norm", "logits")
        found = {name: value for name, value in found.items() if name.startswith(wanted) or name.endswith((".out", ".in"))}
    return found


def dump(label, case):
    model = build(case)
    flat = {name: parameter.detach() for name, parameter in model.named_parameters()}
    digest = hashlib.sha256(b"".join(flat[name].numpy().tobytes() for name in sorted(flat))).hexdigest()
    values, grids = pixel_values(case["images"], case["processor"])
    tensors, sequences, summary = {}, {}, {}
    for name in case["sequences"]:
        tokens, images = expand(case, name, grids)
        inputs = inputs_of(case, tokens, images, values, grids)
        sequences[name] = (tokens, inputs)
        positions = torch.arange(len(tokens)).expand(3, -1)
        delta = 0
        if images:
            found, deltas = model.model.get_rope_index(inputs["input_ids"], image_grid_thw=inputs["image_grid_thw"], attention_mask=inputs["attention_mask"],
                                                       mm_token_type_ids=inputs["mm_token_type_ids"])
            positions, delta = found[:, 0], int(deltas[0, 0])
        for place, value in record(model, inputs, name == case["detailed"]).items():
            tensors[f"{name}/{place}"] = value[:: case["stride"]]
        summary[name] = {"tokens": tokens, "images": images, "positions": positions.tolist(), "rope_delta": delta}
        if name in ("one", "tool", "small") and name in case.get("differentiated", case["sequences"]):
            prompt = len(tokens) - 4
            summary[name]["decode"], tensors[f"{name}/decode.logits"] = decode(model, case, tokens, inputs, prompt)
    found = {}
    summed = {name: sequences[name] for name in case.get("differentiated", case["sequences"])}
    for run in case.get("runs", RUNS):
        found[run], sampled = gradients(model, case, summed, *RUNS[run])
        tensors |= {f"{run}/{name}": value for name, value in sampled.items()}
    write_tensors(OUT / f"{label}.safetensors", tensors)
    write_json(OUT / f"{label}.json", {
        "config": case["config"], "processor": case["processor"], "seed": case["seed"], "weights_sha256": digest, "stride": case["stride"],
        "images": case["images"], "grids": grids, "pixels_sha256": [hashlib.sha256(v.numpy().tobytes()).hexdigest() for v in values],
        "gradient_limit": GRADIENT_LIMIT,
        "frequencies": {"text": model.model.language_model.rotary_emb.inv_freq.tolist(), "vision": model.model.visual.rotary_pos_emb.inv_freq.tolist()},
        "sequences": summary, "gradients": found,
    })
    if label == "tiny-parity":
        # the loader's golden: three shards and an index, and one file in bf16
        model.save_pretrained(OUT / "checkpoint-shards", max_shard_size="200KB")
        model.to(torch.bfloat16).save_pretrained(OUT / "checkpoint-bf16")
    print(label, sum(p.numel() for p in flat.values()), "parameters", round(sum(t.nbytes for t in tensors.values()) / 1e3), "kB")


def head():
    """Log-probability and entropy of TRL and verl: logits as the model gives them, steep ones, and equal ones."""
    rows, width = 5, 37
    logits = (uniforms(31, "logits", rows * width).reshape(rows, width) * np.array([1, 6, 40, 0, 200])[:, None]).astype(np.float32)
    targets = [int(h) % width for h in hashes(31, "targets", rows)]
    return {"logits": logits.tolist(), "targets": targets, "temperatures": {str(t): logprob_entropy(logits, targets, t) for t in (1.0, 0.7, 1.3)}}


if __name__ == "__main__":
    shutil.rmtree(OUT, ignore_errors=True)
    for label, case in CASES.items():
        dump(label, case)
    write_json(OUT / "logprob.json", head())
    entries, tensors = preprocess()
    write_json(OUT / "preprocess.json", entries)
    write_tensors(OUT / "preprocess.safetensors", tensors)
    write_manifest(OUT, "scripts/goldens/model.py", {
        "seeds": {label: case["seed"] for label, case in CASES.items()},
        "tolerances": {"activations": 1e-5, "logits": 1e-4, "gradients": 1e-3, "note": "largest difference over the largest absolute value of the tensor"},
        "left_out": "weights and images (hashed, deterministic.py); gradients are 512 spread elements and the norm; shape-parity keeps every 7th row, and differentiates and decodes only its smaller sequence; left padding (this engine packs, it never pads); gradients of inputs (pixels get none here); LoRA",
    })
