"""PyTorch side of `pnpm bench:peers`: Hugging Face's Qwen3-VL with a given config and random weights, and TRL's GRPOTrainer on it.

One process, one mode (`model` or `trl`); requests and answers are JSON lines on stdin and stdout. Not here: what is compared with what (peers.ts).
Times are milliseconds of wall clock. Everything is float32; on CUDA without TF32, as WebGPU has none, and a time ends when the device is done.
"""

import argparse
import json
import os
import sys
import time

OUT = os.fdopen(os.dup(1), "w", buffering=1)
os.dup2(2, 1)  # what libraries print must not get between the answers


def answer(value):
    OUT.write(json.dumps(value) + "\n")


def request():
    line = sys.stdin.readline()
    return json.loads(line) if line else None


parser = argparse.ArgumentParser()
parser.add_argument("mode", choices=["model", "trl"])
parser.add_argument("--config", required=True, help="folder with config.json and preprocessor_config.json")
parser.add_argument("--tokenizer", required=True, help="folder with tokenizer.json and tokenizer_config.json")
parser.add_argument("--threads", type=int, default=0, help="0: as many as PyTorch takes")
parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
parser.add_argument("--packages", help="folder with more packages, looked at after the interpreter's own")
parser.add_argument("--scratch", required=True, help="folder TRL may write to")
parser.add_argument("--questions", type=int, default=16)
parser.add_argument("--rollouts", type=int, default=8)
parser.add_argument("--tokens", type=int, default=30, help="sampled tokens a rollout")
parser.add_argument("--steps", type=int, default=6)
args = parser.parse_args()

os.environ.update(HF_HUB_OFFLINE="1", TOKENIZERS_PARALLELISM="false")
if args.packages:
    sys.path.append(args.packages)
import torch  # noqa: E402
import transformers  # noqa: E402

if args.threads:
    torch.set_num_threads(args.threads)
torch.manual_seed(0)
torch.backends.cudnn.allow_tf32 = False
transformers.utils.logging.set_verbosity_error()


def now():
    """Seconds, once the device has done what it was given."""
    if args.device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()


def load_json(folder, name):
    with open(os.path.join(folder, name), encoding="utf-8") as file:
        return json.load(file)


def load_model():
    config = transformers.Qwen3VLConfig(**load_json(args.config, "config.json"))
    return transformers.Qwen3VLForConditionalGeneration(config).to(args.device, torch.float32)


def batch(model, sequences, tokens, prompt):
    """`sequences` sequences of one length, each with an image of 16 merged tokens, pixel values ready for the model."""
    config = model.config
    ids = torch.randint(0, 480, (sequences, tokens))
    start = prompt - 17
    ids[:, start - 1] = config.vision_start_token_id
    ids[:, start : start + 16] = config.image_token_id
    ids[:, start + 16] = config.vision_end_token_id
    vision = config.vision_config
    width = vision.in_channels * vision.temporal_patch_size * vision.patch_size**2
    inputs = {
        "input_ids": ids,
        "attention_mask": torch.ones_like(ids),
        "pixel_values": torch.rand(sequences * 64, width) * 2 - 1,
        "image_grid_thw": torch.tensor([[1, 8, 8]] * sequences),
        "mm_token_type_ids": (ids == config.image_token_id).int(),
    }
    return {name: tensor.to(model.device) for name, tensor in inputs.items()}


def vision_tokens(config):
    """Of no use as output, and where image pads are sampled the next forward pass fails: never sampled."""
    return [config.image_token_id, config.video_token_id, config.vision_start_token_id, config.vision_end_token_id]


class Clock(transformers.StoppingCriteria):
    """Asked after every token: keeps when the first was there."""

    def __init__(self):
        self.first = None

    def __call__(self, input_ids, scores, **_):
        if self.first is None:
            self.first = now()
        return torch.zeros(input_ids.shape[0], dtype=torch.bool, device=input_ids.device)


class Modelling:
    """Training steps and generation."""

    def __init__(self):
        self.model = load_model()
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=1e-4, weight_decay=0.0, fused=True)

    def train(self, sequences, tokens, prompt):
        inputs = batch(self.model, sequences, tokens, prompt)
        self.model.train()
        start = now()
        self.optimizer.zero_grad()
        loss = self.model(**inputs, labels=inputs["input_ids"], use_cache=False).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        return {"ms": (now() - start) * 1e3, "loss": loss.item()}

    def matmul(self, M, N, K):
        a, b = torch.rand(M, K, device=args.device), torch.rand(K, N, device=args.device)
        with torch.inference_mode():
            out = a @ b
            calls, start = 0, now()
            while now() - start < 0.03:
                for _ in range(64 if args.device == "cuda" else 1):
                    torch.mm(a, b, out=out)
                    calls += 1
            return {"ms": (now() - start) / calls * 1e3}

    def generate(self, sequences, prompt, tokens):
        inputs = batch(self.model, sequences, prompt, prompt)
        clock = Clock()
        self.model.eval()
        start = now()
        with torch.inference_mode():
            out = self.model.generate(
                **inputs, max_new_tokens=tokens, min_new_tokens=tokens, do_sample=True, temperature=1.0, top_k=0,
                top_p=1.0, suppress_tokens=vision_tokens(self.model.config), pad_token_id=0, eos_token_id=479,
                stopping_criteria=transformers.StoppingCriteriaList([clock]),
            )  # fmt: skip
        end = now()
        sampled = out.shape[1] - prompt
        if sampled != tokens:
            raise RuntimeError(f"generate: sequences must have {tokens} sampled tokens, got {sampled}.")
        return {"firstMs": (clock.first - start) * 1e3, "wholeMs": (end - start) * 1e3}


def run_model():
    work = Modelling()
    parameters = sum(p.numel() for p in work.model.parameters())
    where = torch.cuda.get_device_name() if args.device == "cuda" else "CPU"
    ready = f"torch {torch.__version__}, transformers {transformers.__version__}, {where}"
    answer({"ready": ready, "parameters": parameters})
    while (asked := request()) is not None:
        operation = {"train": work.train, "generate": work.generate, "matmul": work.matmul}[asked.pop("op")]
        answer(operation(**asked))


def questions(count):
    """Conversations with an image each; every question is another. Images are kept as TRL's users keep them, in a datasets.Dataset."""
    import datasets
    import numpy as np
    from PIL import Image

    random = np.random.default_rng(0)
    images = [Image.fromarray(random.integers(0, 256, (128, 128, 3), dtype=np.uint8)) for _ in range(count)]
    # four digits: every question has as many tokens, and as many as ours (product-step.ts)
    texts = [f"compute {i:04} * {i + 3:04} % 13 % 4" for i in range(count)]
    prompts = [[{"role": "user", "content": text}] for text in texts]
    return datasets.Dataset.from_dict({"prompt": prompts, "image": images})


def processor():
    """Qwen3-VL's processor without its video part, which needs torchvision, of which there is no build for this torch."""

    class ImagesOnly(transformers.Qwen3VLProcessor):
        def check_argument_for_proper_class(self, argument_name, argument):
            if argument_name != "video_processor":
                super().check_argument_for_proper_class(argument_name, argument)

    from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

    tokenizer = transformers.AutoTokenizer.from_pretrained(args.tokenizer)
    settings = load_json(args.config, "preprocessor_config.json")
    settings.pop("image_processor_type", None)
    return ImagesOnly(Qwen2VLImageProcessorPil(**settings), tokenizer, None, chat_template=tokenizer.chat_template)


def prompt_tokens(processing, item):
    """As the trainer renders it: the image first, then the text."""
    text = {"type": "text", "text": item["prompt"][0]["content"]}
    message = [{"role": "user", "content": [{"type": "image", "image": item["image"]}, text]}]
    rendered = processing.apply_chat_template(message, add_generation_prompt=True, tokenize=True, return_dict=True)
    return len(rendered["input_ids"][0])


def run_trl():
    import trl

    batch_size = args.questions * args.rollouts
    sampled = []
    model = load_model()

    def reward(prompts, completions, completion_ids, **_):
        sampled.extend(len(ids) for ids in completion_ids)
        return [float(sum(ids) % 2) for ids in completion_ids]

    class Turns(transformers.TrainerCallback):
        """A step begins when asked for, and answers with its time."""

        def on_step_begin(self, *_, **__):
            if request() is None:
                sys.exit(0)
            self.start = now()

        def on_step_end(self, *_, **__):
            ms = (now() - self.start) * 1e3
            if len(sampled) != batch_size or set(sampled) != {args.tokens}:
                raise RuntimeError(f"TRL: {batch_size} rollouts must have {args.tokens} tokens each, got {sampled}.")
            sampled.clear()
            answer({"ms": ms})

    config = trl.GRPOConfig(
        output_dir=args.scratch, use_cpu=args.device == "cpu", bf16=False, per_device_train_batch_size=batch_size,
        num_generations=args.rollouts, gradient_accumulation_steps=1, max_steps=args.steps, beta=0.0,
        max_completion_length=args.tokens, temperature=1.0,
        generation_kwargs={"min_new_tokens": args.tokens, "suppress_tokens": vision_tokens(model.config)},
        gradient_checkpointing=False, learning_rate=1e-5, lr_scheduler_type="constant", shuffle_dataset=False,
        report_to=[], save_strategy="no", logging_strategy="no", disable_tqdm=True, dataloader_pin_memory=False,
    )  # fmt: skip
    items = questions(args.questions * args.steps)
    processing = processor()
    trainer = trl.GRPOTrainer(
        model=model, reward_funcs=reward, args=config, train_dataset=items, processing_class=processing,
        callbacks=[Turns()],
    )  # fmt: skip
    lengths = {prompt_tokens(processing, item) for item in items}
    if len(lengths) != 1:
        raise RuntimeError(f"TRL: every prompt must have as many tokens, got {sorted(lengths)}.")
    answer({"ready": f"TRL {trl.__version__}", "promptTokens": lengths.pop()})
    trainer.train()


run_model() if args.mode == "model" else run_trl()
