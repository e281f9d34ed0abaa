"""PyTorch side of `pnpm bench:peers`: Hugging Face's Qwen3-VL with a given config and random weights, and TRL's GRPOTrainer on it.

One process, one mode (`model` or `trl`); requests and answers are JSON lines on stdin and stdout. Not here: what is compared with what (peers.ts).
Times are milliseconds of wall clock. Everything is float32 on the CPU.
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
parser.add_argument("--threads", type=int, required=True)
parser.add_argument("--scratch", required=True, help="folder TRL may write to")
parser.add_argument("--questions", type=int, default=16)
parser.add_argument("--rollouts", type=int, default=8)
parser.add_argument("--tokens", type=int, default=30, help="sampled tokens a rollout")
parser.add_argument("--steps", type=int, default=6)
args = parser.parse_args()

os.environ.update(HF_HUB_OFFLINE="1", TOKENIZERS_PARALLELISM="false", OMP_NUM_THREADS=str(args.threads))
import numpy as np  # noqa: E402
import torch  # noqa: E402
import transformers  # noqa: E402

torch.set_num_threads(args.threads)
torch.manual_seed(0)
transformers.utils.logging.set_verbosity_error()


def load_json(folder, name):
    with open(os.path.join(folder, name), encoding="utf-8") as file:
        return json.load(file)


def load_model():
    config = transformers.Qwen3VLConfig(**load_json(args.config, "config.json"))
    return transformers.Qwen3VLForConditionalGeneration(config).to(torch.float32)


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
    return {
        "input_ids": ids,
        "attention_mask": torch.ones_like(ids),
        "pixel_values": torch.rand(sequences * 64, width) * 2 - 1,
        "image_grid_thw": torch.tensor([[1, 8, 8]] * sequences),
        "mm_token_type_ids": (ids == config.image_token_id).int(),
    }


class Modelling:
    """Training steps and generation."""

    def __init__(self):
        self.model = load_model()
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=1e-4, weight_decay=0.0, fused=True)

    def train(self, sequences, tokens, prompt):
        inputs = batch(self.model, sequences, tokens, prompt)
        self.model.train()
        start = time.perf_counter()
        self.optimizer.zero_grad()
        loss = self.model(**inputs, labels=inputs["input_ids"], use_cache=False).loss
        forward = time.perf_counter()
        loss.backward()
        backward = time.perf_counter()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        end = time.perf_counter()
        whole, parts = (end - start) * 1e3, [forward - start, backward - forward, end - backward]
        return {"ms": whole, "parts": [part * 1e3 for part in parts], "loss": loss.item()}

    def matmul(self, M, N, K):
        a, b = torch.rand(M, K), torch.rand(K, N)
        with torch.inference_mode():
            out = a @ b
            calls, start = 0, time.perf_counter()
            while time.perf_counter() - start < 0.03:
                torch.mm(a, b, out=out)
                calls += 1
            return {"ms": (time.perf_counter() - start) / calls * 1e3}

    def generate(self, sequences, prompt, tokens):
        inputs = batch(self.model, sequences, prompt, prompt)
        config = self.model.config
        pads = [config.image_token_id, config.video_token_id, config.vision_start_token_id, config.vision_end_token_id]
        self.model.eval()
        start = time.perf_counter()
        with torch.inference_mode():
            out = self.model.generate(
                **inputs, max_new_tokens=tokens, min_new_tokens=tokens, do_sample=True, temperature=1.0, top_k=0,
                top_p=1.0, suppress_tokens=pads, pad_token_id=0, eos_token_id=479,
            )  # fmt: skip
        ms = (time.perf_counter() - start) * 1e3
        return {"ms": ms, "sampled": sequences * (out.shape[1] - prompt)}


def run_model():
    work = Modelling()
    parameters = sum(p.numel() for p in work.model.parameters())
    answer({"ready": f"torch {torch.__version__}, transformers {transformers.__version__}", "parameters": parameters})
    while (asked := request()) is not None:
        operation = {"train": work.train, "generate": work.generate, "matmul": work.matmul}[asked.pop("op")]
        answer(operation(**asked))


def questions(count):
    """Conversations with an image each; every question is another. Images are kept as TRL's users keep them, in a datasets.Dataset."""
    import datasets
    from PIL import Image

    random = np.random.default_rng(0)
    images = [Image.fromarray(random.integers(0, 256, (128, 128, 3), dtype=np.uint8)) for _ in range(count)]
    texts = [f"compute {i} * {i + 3} % 13 % 4" for i in range(count)]
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


def run_trl():
    import trl

    prompt_lengths = set()
    batch_size = args.questions * args.rollouts

    def reward(prompts, completions, completion_ids, **_):
        return [float(sum(ids) % 2) for ids in completion_ids]

    class Turns(transformers.TrainerCallback):
        """A step begins when asked for, and answers with its time."""

        def on_step_begin(self, *_, **__):
            if request() is None:
                sys.exit(0)
            self.start = time.perf_counter()

        def on_step_end(self, *_, **__):
            answer({"ms": (time.perf_counter() - self.start) * 1e3, "sampled": batch_size * args.tokens})

    class Trainer(trl.GRPOTrainer):
        def _generate_single_turn(self, prompt_ids, *rest, **named):
            prompt_lengths.update(len(ids) for ids in prompt_ids)
            return super()._generate_single_turn(prompt_ids, *rest, **named)

    config = trl.GRPOConfig(
        output_dir=args.scratch, use_cpu=True, bf16=False, per_device_train_batch_size=batch_size,
        num_generations=args.rollouts, gradient_accumulation_steps=1, max_steps=args.steps, beta=0.0,
        max_completion_length=args.tokens, generation_kwargs={"min_new_tokens": args.tokens}, temperature=1.0,
        gradient_checkpointing=False, learning_rate=1e-5, lr_scheduler_type="constant", shuffle_dataset=False,
        report_to=[], save_strategy="no", logging_strategy="no", disable_tqdm=True, dataloader_pin_memory=False,
    )  # fmt: skip
    items = questions(args.questions * args.steps)
    processing = processor()
    trainer = Trainer(
        model=load_model(), reward_funcs=reward, args=config, train_dataset=items, processing_class=processing,
        callbacks=[Turns()],
    )  # fmt: skip
    item = items[0]
    message = [{"role": "user", "content": [{"type": "image", "image": item["image"]}, {"type": "text", "text": item["prompt"][0]["content"]}]}]
    ids = processing.apply_chat_template(message, add_generation_prompt=True, tokenize=True, return_dict=True)["input_ids"]
    answer({"ready": f"TRL {trl.__version__}", "promptTokens": len(ids[0]), "seen": sorted(prompt_lengths)})
    trainer.train()


run_model() if args.mode == "model" else run_trl()
