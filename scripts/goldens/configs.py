"""The configs and sequences of the model goldens. nano is read from packages/model/nano; the other two are awkward on purpose."""
import json
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
NANO = ROOT / "packages" / "model" / "nano"


def processor(patch: int, shortest: int, longest: int):
    return {
        "size": {"shortest_edge": shortest, "longest_edge": longest},
        "patch_size": patch, "temporal_patch_size": 2, "merge_size": 2,
        "image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5], "resample": 3,
    }


def config(ids, tied, text, vision):
    return {
        "model_type": "qwen3_vl", "architectures": ["Qwen3VLForConditionalGeneration"], "tie_word_embeddings": tied,
        "image_token_id": ids[0], "video_token_id": ids[1], "vision_start_token_id": ids[2], "vision_end_token_id": ids[3],
        "text_config": {
            "model_type": "qwen3_vl_text", "hidden_act": "silu", "rms_norm_eps": 1e-6, "attention_bias": False, "attention_dropout": 0.0,
            "max_position_embeddings": 4096, "initializer_range": 0.02, "use_cache": True, "tie_word_embeddings": tied, **text,
        },
        "vision_config": {
            "model_type": "qwen3_vl", "hidden_act": "gelu_pytorch_tanh", "in_channels": 3, "temporal_patch_size": 2,
            "spatial_merge_size": 2, "initializer_range": 0.02, **vision,
        },
    }


def rope(theta, section):
    return {"rope_theta": theta, "rope_type": "default", "mrope_section": section, "mrope_interleaved": True}


def tiny(tied):
    return config((150, 151, 147, 148), tied,
        {"vocab_size": 160, "hidden_size": 40, "intermediate_size": 56, "num_hidden_layers": 3, "num_attention_heads": 6,
         "num_key_value_heads": 2, "head_dim": 16, "rope_parameters": rope(5000000, [3, 3, 2])},
        {"hidden_size": 24, "intermediate_size": 36, "depth": 3, "num_heads": 2, "patch_size": 4, "num_position_embeddings": 25,
         "deepstack_visual_indexes": [0, 1], "out_hidden_size": 40})


SHAPE = config((1000, 1001, 1002, 1003), False,
    {"vocab_size": 1024, "hidden_size": 256, "intermediate_size": 512, "num_hidden_layers": 4, "num_attention_heads": 4,
     "num_key_value_heads": 2, "head_dim": 128, "rope_parameters": rope(5000000, [24, 20, 20])},
    {"hidden_size": 144, "intermediate_size": 538, "depth": 4, "num_heads": 2, "patch_size": 16, "num_position_embeddings": 2304,
     "deepstack_visual_indexes": [0, 1, 2], "out_hidden_size": 256})


NANO_PROCESSOR = json.loads((NANO / "preprocessor_config.json").read_text())

# images: [kind, seed, width, height], all exact multiples that the processor leaves alone
CASES = {
    "nano": {"config": json.loads((NANO / "config.json").read_text()), "processor": NANO_PROCESSOR, "seed": 11, "plain_ids": 486, "stride": 1,
             "images": [["noise", 1, 32, 32], ["lines", 2, 64, 16]], "sequences": ["text", "one", "two", "tool"], "detailed": "two"},
    "tiny-parity": {"config": tiny(False), "processor": processor(4, 64, 4096), "seed": 12, "plain_ids": 147, "stride": 1,
                    "images": [["noise", 3, 16, 24], ["gradient", 4, 32, 16]], "sequences": ["text", "one", "two", "tool"], "detailed": "two"},
    "tiny-parity-tied": {"config": tiny(True), "processor": processor(4, 64, 4096), "seed": 13, "plain_ids": 147, "stride": 1,
                         "images": [["text", 5, 16, 24], ["noise", 6, 32, 16]], "sequences": ["text", "two"], "detailed": None},
    # gradients and decoding on a smaller image: a software GPU takes half a minute for the big one
    "shape-parity": {"config": SHAPE, "processor": processor(16, 8192, 16777216), "seed": 14, "plain_ids": 1000, "stride": 7,
                     "images": [["noise", 7, 320, 256], ["text", 8, 96, 128]], "sequences": ["one", "small"], "detailed": "one",
                     "differentiated": ["small"], "runs": ["plain"]},
}


def layouts():
    """Runs of plain tokens (a number) and images (an index in brackets) of each kind of sequence; `tool` goes on from `one`'s prompt."""
    return {
        "text": [14],
        "one": [4, [0], 8],
        "two": [3, [0], 2, [1], 6],
        "tool": [4, [0], 5, [1], 5],
        "small": [3, [1], 6],
    }


# plain tokens of each sequence come from this stream: `tool` shares its first tokens with `one`
STREAMS = {"text": "tokens text", "one": "tokens one", "two": "tokens two", "tool": "tokens one", "small": "tokens small"}
